"""Draws privacy.svg: exact and published daily active users of the made-up company, with keys that are the same every time.

python docs/plot.py    loads and builds the company in a temporary folder (a minute), and writes the picture
"""

import datetime as dt
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import altair
import duckdb
import vl_convert

from pipelines.demo.calendar import FOUNDED, Company
from pipelines.demo.event_files import write_events

PICTURE = Path(__file__).with_name("privacy.svg")
TODAY = dt.date(2026, 11, 22)
EXACT, PUBLISHED, MUTED = "#0969da", "#cf222e", "#59636e"
# The one that vl-convert carries.
FONT = "Liberation Sans"
FIGURES = """
select
    strftime(exact.period_start_date, '%Y-%m-%d') as day,
    exact.value::integer as exact,
    sum(ledger.value)::integer as published
from kpi_internal.metric_data as exact
inner join kpi_metrics.release_ledger as ledger
    on exact.grain = ledger.grain and exact.period_start_date = ledger.period_start_date
where
    exact.metric_key = 'active_users'
    and exact.grain = 'day'
    and ledger.family = 'engagement_users'
    and ledger.cell != 'base'
group by all
order by 1
"""


def figures(folder: Path) -> list[tuple[str, int, int]]:
    """Build the company in a folder; give exact and published active users of each released day."""
    write_events(Company(TODAY), folder / "events")
    programs = Path(sys.executable).parent
    file = folder / "warehouse.duckdb"
    settings = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(folder),
        "KPI_DUCKDB_PATH": str(file),
        "KPI_USER_KEY": "the user key of a picture, " * 2,
        "KPI_RECORD_KEY": "the record key of a picture, " * 2,
        "SOURCES__EVENTS__PATH": str(folder / "events"),
    }
    for command in (["ingest", "events"], ["build", "--date", TODAY.isoformat()]):
        # What is said of sources that the picture does without is no concern of it; what is missing is found below.
        subprocess.run([programs / "kpi", *command], env=settings, check=False)  # noqa: S603 - our own command
    with duckdb.connect(str(file), read_only=True) as connection:
        return connection.execute(FIGURES).fetchall()


def picture(rows: list[tuple[str, int, int]]) -> str:
    """Draw both as lines, and their difference below."""
    days = [
        {"day": day, "figure": figure, "users": users, "off": published - exact}
        for day, exact, published in rows
        for figure, users in (("exact", exact), ("published", published))
    ]
    axis: dict[str, Any] = {
        "gridColor": "#eaeef2",
        "domain": False,
        "ticks": False,
        "labelColor": MUTED,
        "titleColor": MUTED,
    }
    time = altair.X(
        "day:T",
        title=None,
        scale=altair.Scale(type="utc", padding=6),
        axis=altair.Axis(
            format="%b %-d", tickCount=8, grid=False, domainColor=MUTED, tickColor=MUTED, labelColor=MUTED
        ),
    )
    base = altair.Chart(altair.InlineData(values=days)).encode(x=time)
    lines = base.mark_line(strokeWidth=1.5).encode(
        y=altair.Y("users:Q", title="daily active users", axis=altair.Axis(tickCount=4, **axis)),
        color=altair.Color(
            "figure:N",
            title=None,
            scale=altair.Scale(domain=["exact", "published"], range=[EXACT, PUBLISHED]),
            legend=altair.Legend(orient="top-left", symbolType="stroke", labelColor=MUTED),
        ),
    )
    differences = (
        base.transform_filter("datum.figure == 'published'")
        .mark_bar(size=3, color=PUBLISHED)
        .encode(
            y=altair.Y("off:Q", title="off by (users)", axis=altair.Axis(values=[-12, 0, 12], **axis)),
        )
    )
    whole = altair.vconcat(
        lines.properties(width=720, height=220), differences.properties(width=720, height=80), spacing=12
    )
    whole = (
        whole.properties(background="white", padding=16).configure(font=FONT).configure_view(strokeWidth=0)
    )
    return str(vl_convert.vegalite_to_svg(whole.to_dict(), allowed_base_urls=[]))


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as folder:
        rows = figures(Path(folder))
    if len(rows) != (TODAY - FOUNDED).days - 1:
        sys.exit(f"Only {len(rows)} days were released: the build went wrong.")
    PICTURE.write_text(picture(rows), encoding="utf-8")
    off = sorted(abs(published - exact) for _, exact, published in rows)
    within = 100 * sum(distance <= 12 for distance in off) / len(off)
    sys.stdout.write(
        f"{len(off)} days: {off[len(off) // 2]} off in the median, at most 12 on {within:.0f} %, {off[-1]} on the worst\n"
    )


if __name__ == "__main__":
    main()

"""The trends of a digest as one PNG: small charts side by side, each with a scale of its own.

Vega-Lite draws it inside the process (vl-convert), without a browser and without the network; the same facts
give the same bytes.
"""

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipelines.digest.facts import Digest, Line
from pipelines.digest.wording import amount, name, period
from pipelines.privacy.periods import period_end

MOST_CHARTS = 12
COLUMNS = 3
_WIDTH, _HEIGHT, _SCALE = 230, 90, 2.0
# The one that vl-convert carries: the same picture on every machine, also on one without fonts.
_FONT = "Liberation Sans"
_LINE, _MUTED, _TEXT = "#0969da", "#8c959f", "#1f2328"
_LONGEST_TITLE = 34


@dataclass(frozen=True)
class Chart:
    """A picture and the words for those who do not see it."""

    png: bytes
    alt_text: str


def trends(digest: Digest) -> Chart | None:
    """Draw the trends of the lines that have values, as many as there is room for; None where no line has one.

    A period without a value is a gap in the line; one that is not final is hollow.
    """
    drawable = [line for line in digest.lines if any(point.value is not None for point in line.trend)]
    if not drawable:
        return None
    drawn = _chosen(drawable)
    return Chart(_png(drawn), _alt_text(digest, drawn, len(drawable)))


def _chosen(lines: list[Line]) -> list[Line]:
    """Choose as many lines as there is room for, in their order: each metric once, before a second currency of any."""
    ranks: Counter[str] = Counter()
    ranked = []
    for place, line in enumerate(lines):
        ranked.append((ranks[line.metric.metric_key], place))
        ranks[line.metric.metric_key] += 1
    return [lines[place] for place in sorted(place for _, place in sorted(ranked)[:MOST_CHARTS])]


def _png(lines: list[Line]) -> bytes:
    # Half a second to import: only those who draw pay for it.
    import altair
    import vl_convert

    charts = [_small(altair, line) for line in lines]
    rows = [altair.hconcat(*charts[at : at + COLUMNS], spacing=28) for at in range(0, len(charts), COLUMNS)]
    whole = altair.vconcat(*rows, spacing=22, background="white", padding=16).configure(font=_FONT)
    whole = whole.configure_view(strokeWidth=0).configure_concat(spacing=28)
    return bytes(vl_convert.vegalite_to_png(whole.to_dict(), scale=_SCALE, allowed_base_urls=[]))


def _small(altair: Any, line: Line) -> Any:
    """Draw one line: its points in order, gaps where there is no value."""
    rows = _rows(line)
    ticks = sorted({rows[0]["start"], rows[len(rows) // 2]["start"], rows[-1]["start"]})
    start = altair.X(
        "start:T",
        title=None,
        axis=altair.Axis(
            format="%b %-d", values=ticks, grid=False, domainColor=_MUTED, tickColor=_MUTED, labelColor=_MUTED
        ),
        # Days, not instants: the machine's zone has no say.
        scale=altair.Scale(type="utc"),
    )
    value = altair.Y(
        "value:Q",
        title=None,
        axis=altair.Axis(
            tickCount=3,
            gridColor="#eaeef2",
            domain=False,
            ticks=False,
            labelColor=_MUTED,
            labelPadding=8,
            minExtent=48,
            # A number that stands out would lift the title.
            labelBound=True,
        ),
        # Room for the marks, so that the titles of a row stand at one height.
        scale=altair.Scale(zero=False, nice=False, padding=10),
    )
    base = altair.Chart(altair.Data(values=rows)).encode(x=start, y=value)
    stroke = base.mark_line(color=_LINE, strokeWidth=2, invalid="break-paths-show-domains")
    points = base.mark_point(size=28, strokeWidth=1.5, opacity=1, invalid="filter").encode(
        fill=altair.Fill(
            "state:N",
            scale=altair.Scale(domain=["final", "provisional"], range=[_LINE, "white"]),
            legend=None,
        ),
        stroke=altair.value(_LINE),
    )
    title = altair.TitleParams(
        text=_short(name(line)),
        anchor="start",
        fontSize=12,
        fontWeight="bold",
        color=_TEXT,
        font=_FONT,
        offset=10,
    )
    return altair.layer(stroke, points).properties(width=_WIDTH, height=_HEIGHT, title=title)


def _rows(line: Line) -> list[dict[str, Any]]:
    """Give a row for each period from the first to the last of the trend, those without one included."""
    points = {point.start: point for point in line.trend}
    start, last = min(points), max(points)
    rows = []
    while start <= last:
        point = points.get(start)
        rows.append(
            {
                "start": start.isoformat(),
                "value": _number(point.value) if point else None,
                "state": point.state if point else "missing",
            }
        )
        start = period_end(line.grain, start) + dt.timedelta(days=1)
    return rows


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _short(title: str) -> str:
    """Shorten a title to the width of its chart, and show that it is: the whole one stands in the alt text."""
    return title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"


def _alt_text(digest: Digest, lines: list[Line], drawable: int) -> str:
    said = [_trend_in_words(line, digest.date.year) for line in lines]
    which = f"{len(lines)} of {drawable} figures" if drawable > len(lines) else f"{len(lines)} figures"
    return f"Line charts of {which} up to {period(digest.date, digest.date, None)}. {' '.join(said)}"


def _trend_in_words(line: Line, year: int) -> str:
    valued = [point for point in line.trend if point.value is not None]
    gaps = len(_rows(line)) - len(valued)
    first, last = valued[0], valued[-1]
    assert first.value is not None
    assert last.value is not None
    holes = f", {gaps} without a value" if gaps else ""
    return (
        f"{name(line)}: from {amount(line, first.value)} ({period(first.start, first.end, year)}) "
        f"to {amount(line, last.value)} ({period(last.start, last.end, year)}){holes}."
    )

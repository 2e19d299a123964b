"""The recipe of README.md for a new KPI, followed to the letter in a copy of the project."""

import datetime as dt
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
from marts_support import Company

from pipelines.sources import ensure_tables
from pipelines.warehouse import PROJECT_ROOT

FOLDERS = ("models", "macros", "seeds", "profiles", "tests/data", "docs")
EVENTS = """\
{"event_id": 1, "event_key": "test_completed", "user_id": 7, "occurred_at": "2026-03-02T09:00:00Z", "metadata": {"session_id": "a", "status": "error"}}
{"event_id": 2, "event_key": "test_completed", "user_id": 7, "occurred_at": "2026-03-03T09:00:00Z", "metadata": {"session_id": "b", "status": "success"}}
{"event_id": 3, "event_key": "test_completed", "user_id": 8, "occurred_at": "2026-03-03T10:00:00Z", "metadata": {"session_id": "c", "status": "error"}}
"""


def recipe() -> dict[str, str]:
    """What the recipe has one write: language to text."""
    text = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
    [part] = re.findall(r"\*\*A new KPI\*\*.*?(?=\n\*\*A new destination)", text, re.DOTALL)
    blocks = re.findall(r"^   ```(\w+)\n(.*?)^   ```$", part, re.DOTALL | re.MULTILINE)
    return {language: re.sub(r"^   ", "", block, flags=re.MULTILINE) for language, block in blocks}


def put_before(path: Path, mark: str, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert content.count(mark) == 1, f"{path}: {mark}"
    path.write_text(content.replace(mark, text + mark), encoding="utf-8")


def test_a_new_kpi_is_one_column_and_one_catalogue_row(tmp_path: Path) -> None:
    written = recipe()
    assert sorted(written) == ["csv", "sql", "yaml"]
    company = Company(tmp_path, "UTC")
    company.receive({"events.jsonl": EVENTS.encode()})
    ensure_tables(company.warehouse)
    project = tmp_path / "project"
    for folder in FOLDERS:
        shutil.copytree(PROJECT_ROOT / folder, project / folder)
    shutil.copy(PROJECT_ROOT / "dbt_project.yml", project)
    reports = project / "models" / "intermediate" / "int_advanced_metrics_reports"
    put_before(reports.with_suffix(".sql"), "    {{ built_at() }} as created_at,\n", written["sql"])
    put_before(reports.with_suffix(".yml"), "      - name: created_at\n", written["yaml"])
    with (project / "seeds" / "metrics.csv").open("a", encoding="utf-8") as catalogue:
        catalogue.write(written["csv"])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "dbt.cli.main",
            "build",
            "--exclude-resource-type",
            "unit_test",
            *("--select", "+metric_data", "--indirect-selection", "buildable"),
        ],
        cwd=project,
        env=company.warehouse.dbt_environment() | {"KPI_REPORT_DATE": dt.date(2026, 3, 20).isoformat()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    with duckdb.connect(str(company.warehouse.duckdb_path), read_only=True) as connection:
        rows = connection.execute(
            "select grain, cast(period_start_date as text), value, state from kpi_internal.metric_data"
            " where metric_key = 'unsuccessful_sessions' and period_start_date <= '2026-03-03' order by all"
        ).fetchall()
    assert rows == [
        ("day", "2026-03-02", 1, "final"),
        ("day", "2026-03-03", 1, "final"),
        ("month", "2026-03-01", 2, "provisional"),
        ("week", "2026-03-02", 2, "final"),
    ]

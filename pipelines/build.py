"""Runs dbt as its own process, shows what it does and turns what failed into readable errors."""

import datetime as dt
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.dbt_process import MAX_BYTES
from pipelines.errors import KpiError, SettingError
from pipelines.last_build import LastBuild
from pipelines.privacy.stored_ledger import check_exports
from pipelines.sources.load import Progress
from pipelines.warehouse import PROJECT_ROOT, Warehouse, busy

_FAILED = {"error", "fail", "runtime error"}


@dataclass
class BuildReport:
    """What one `dbt build` did."""

    built: int = 0
    """Seeds and models written."""
    tested: int = 0
    """Data and unit tests run."""
    is_current: bool = False
    """Nothing had changed since the last build, in which nothing failed: there was nothing to do."""
    warnings: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def build(
    warehouse: Warehouse,
    progress: Progress,
    *,
    report_date: dt.date | None = None,
    backfill: tuple[dt.date, dt.date] | None = None,
    full_refresh: bool = False,
    only: str | None = None,
    max_bytes: int | None = None,
) -> BuildReport:
    """Build every model and test its data: the report asked for (default: today's) and all missing before it.

    `only` names one model that is built, untested, with what it is made from. Unit tests say nothing about the company's data; they are for `make test` and a plain `dbt build`.
    `max_bytes` is what all statements may read together, on BigQuery. `backfill` names a first and a last report date to build besides, both inclusive. Raises SettingError for
    a date after today in the reporting zone, KpiError where dbt could not run at all. Failed models and tests
    are listed in the report. Where nothing changed since a build in which nothing failed, dbt is not started.
    """
    newest = check_dates(warehouse, report_date, backfill)
    if max_bytes is not None and warehouse.target != "bigquery":
        raise SettingError(
            "--max-bytes is about what BigQuery reads, and KPI_TARGET is not bigquery.", "Leave it out."
        )
    check_exports(warehouse)
    first_date, last_date = backfill or ("", "")
    # As variables of dbt they would let it read the whole project anew every day.
    dates = {"KPI_REPORT_DATE": newest, "KPI_BACKFILL_FROM": first_date, "KPI_BACKFILL_TO": last_date}
    arguments = ["build", "--exclude-resource-type", "unit_test"]
    if only:
        arguments += ["test", "--select", f"+{only}"]
    settings = {name: str(date) for name, date in dates.items()}
    last = LastBuild(warehouse, arguments, settings)
    warnings = last.warnings()
    if warnings is not None and not full_refresh:
        return BuildReport(is_current=True, warnings=warnings)
    last.forget()
    if full_refresh:
        arguments.append("--full-refresh")
    report = run_dbt(warehouse, arguments, progress, settings, max_bytes)
    if not report.failures:
        last.remember(report.warnings)
    return report


def check_dates(
    warehouse: Warehouse, report_date: dt.date | None, backfill: tuple[dt.date, dt.date] | None = None
) -> dt.date:
    """Give the newest report date of a build; raise SettingError for dates that cannot be built."""
    today = warehouse.today()
    newest = report_date or (backfill[1] if backfill else today)
    if newest > today:
        raise SettingError(
            f"{newest} lies after today ({today} in {warehouse.reporting_timezone}).",
            "Ask for today or an earlier date.",
        )
    if backfill and backfill[0] > backfill[1]:
        raise SettingError(
            f"The backfill ends ({backfill[1]}) before it begins ({backfill[0]}).",
            "Give --from an earlier date.",
        )
    return newest


def run_dbt(
    warehouse: Warehouse,
    arguments: list[str],
    progress: Progress,
    settings: Mapping[str, str] | None = None,
    max_bytes: int | None = None,
) -> BuildReport:
    """Run one dbt command against the warehouse and gather what became of each node.

    `settings` are more environment variables for it.
    """
    warehouse.check_writable()
    artifacts = warehouse.state_folder / "dbt"
    command = [
        sys.executable,
        *(
            "-m",
            "pipelines.dbt_process",
            *([] if max_bytes is None else [MAX_BYTES, str(max_bytes)]),
            "--log-format",
            "json",
            "--log-level",
            "info",
            "--log-level-file",
            "none",
        ),
        *arguments,
        *("--target", warehouse.target, "--target-path", str(artifacts), "--log-path", str(artifacts)),
    ]
    progress("dbt reads the project")
    results = artifacts / "run_results.json"
    results.unlink(missing_ok=True)
    process = subprocess.Popen(  # noqa: S603 - every part of the command is ours
        command,
        cwd=PROJECT_ROOT,
        env=warehouse.dbt_environment() | dict(settings or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    complaints: list[str] = []
    try:
        for line in process.stdout:
            _follow(line, complaints, progress)
        code = process.wait()
        process.stdin.close()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if not results.exists():
        raise _could_not_run(warehouse, complaints)
    report = _read_results(results)
    if code != 0 and not report.failures:
        raise _could_not_run(warehouse, complaints)
    return report


def _follow(line: str, complaints: list[str], progress: Progress) -> None:
    """Show progress from one line of dbt's log; keep what dbt complains of in case it cannot run."""
    try:
        event = json.loads(line)
        info, data = event["info"], event["data"]
    except (ValueError, KeyError, TypeError):
        if line.strip():
            complaints.append(line.strip())
        return
    if info["level"] == "error":
        complaints.append(str(info["msg"]))
    elif info["name"] == "LogModelResult" and data["node_info"]["node_path"].startswith("marts"):
        progress(f"built {data['node_info']['node_name']} ({data['index']} of {data['total']})")


def _read_results(results: Path) -> BuildReport:
    report = BuildReport()
    for result in json.loads(results.read_text(encoding="utf-8"))["results"]:
        kind, name = result["unique_id"].split(".")[0], result["unique_id"].split(".")[2]
        message = re.sub(r"\s+", " ", result["message"] or "").strip()
        broken_rows = re.match(r"Got (\d+) results?", message)
        if broken_rows:
            name, message = _promise(name), f"{broken_rows[1]} against it"
        if kind in {"model", "seed"}:
            report.built += result["status"] == "success"
        else:
            report.tested += result["status"] != "skipped"
        if result["status"] in _FAILED:
            report.failures.append(f"{kind.replace('_', ' ')} {name}: {message}")
        elif result["status"] == "warn":
            report.warnings.append(f"{name}: {message}")
    return report


def _promise(test: str) -> str:
    """Read the name of a singular test as the sentence that it is."""
    return test.removeprefix("assert_").replace("_", " ") if test.startswith("assert_") else test


def _could_not_run(warehouse: Warehouse, complaints: list[str]) -> KpiError:
    text = " ".join(complaints)
    if "Could not set lock on file" in text:
        return busy(warehouse.duckdb_path, RuntimeError(text))
    shown = re.sub(r"\s+", " ", text)[:800] or "it ended without a word"
    return KpiError(f"dbt could not run: {shown}", "Mend what it names, then run: kpi build")

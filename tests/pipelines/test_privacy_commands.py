"""What leaves the company and who leaves the warehouse, with the commands that people type."""

import csv
import datetime as dt
import gzip
import io
import json
import math
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from command_support import ZONE, House
from faults_support import Strike, struck
from kill_support import at_files_below, killed_in
from privacy_support import published_marts
from stripe_support import CANARY
from stripe_support import company as stripe_company

from pipelines.build import run_dbt
from pipelines.demo.page_server import PageServer
from pipelines.demo.stripe_server import StripeServer
from pipelines.errors import KpiError
from pipelines.privacy.audit import audit
from pipelines.privacy.derivations import Evaluator, parse
from pipelines.privacy.ledger import LEDGER_COLUMNS, Ledger
from pipelines.privacy.periods import ADJECTIVES
from pipelines.privacy.publish import publish
from pipelines.privacy.stored_ledger import check_exports
from pipelines.warehouse import PROJECT_ROOT, Warehouse

FIRST = dt.date(2026, 2, 2)
REPORT = "2026-03-12"


def lines(users: int = 45, days: int = 37) -> Iterator[dict[str, Any]]:
    """Events of made-up users, with personal data wherever there is room for them."""
    chance = random.Random(5)
    number = 0
    for user in range(users):
        created = FIRST + dt.timedelta(days=chance.randrange(days))
        for step in range((FIRST + dt.timedelta(days=days) - created).days):
            day = created + dt.timedelta(days=step)
            if step == 0:
                yield event(f"a{user}", "account_created", user, f"{day}T08:00:00Z", {})
            for attempt in range(chance.choice([0, 1, 2, 3])):
                number += 1
                state: dict[str, Any] = {"status": "success", "session_id": f"s{user}-{day}"}
                if chance.random() < 0.3:
                    state |= {
                        "status": "error",
                        "error_code": chance.choice(["camera_too_far", "analysis_error"]),
                    }
                yield event(f"t{number}", "test_completed", user, f"{day}T09:{attempt:02d}:00Z", state)


def event(name: str, key: str, user: int, at: str, metadata: dict[str, Any]) -> dict[str, Any]:
    return {
        "event_id": name,
        "event_key": key,
        "user_id": f"{CANARY}-{user}@example.org",
        "occurred_at": at,
        "event_name": f"{CANARY} did it",
        "email": f"{CANARY}@example.org",
        "metadata": metadata | {"note": f"{CANARY} called", "ip": f"{CANARY} 192.0.2.7"},
    }


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A company that was loaded, built and published once."""
    house = House(tmp_path_factory.mktemp("company"))
    house.write_events("events.jsonl", list(lines()))
    ingest_everything(house)
    build(house)
    house.kpi("publish").is_well("published", "numbers explained")
    return house


TARGETS = """
[[target]]
metric_key = "newsletter_subscribers"
url = "{site}/about"
css = "#subscribers"
decimal = "."

[[target]]
metric_key = "github_stars"
url = "{site}/about"
css = "h1"
decimal = "."
"""
PAGE = f"<h1>{CANARY}@example.org</h1><p>{CANARY} and <b id='subscribers'>1,250</b> others: {CANARY}</p>"
PUSHED = f"""metric,value,timestamp,id
support_tickets,17,2026-03-02,{CANARY}@example.org
support_tickets,{CANARY},2026-03-03,{CANARY} 2
support_tickets,18,{CANARY},3
support_tickets,19,2026-03-05,4
"""


def ingest_everything(house: House) -> None:
    """Load events, Stripe objects, a web page and pushed figures, all with personal data where there is room for them."""
    (house.folder / "given").mkdir()
    pushed, targets = house.folder / "given" / "figures.csv", house.folder / "given" / "scraped.toml"
    pushed.write_text(PUSHED)
    with StripeServer() as stripe, PageServer() as site:
        stripe_company(stripe.account)
        site.inject("/about", PAGE)
        targets.write_text(TARGETS.format(site=site.url))
        told = [
            house.kpi("push", str(pushed)),
            house.kpi(
                "ingest",
                SOURCES__STRIPE__API_KEY=f"{stripe.api_key}",
                SOURCES__STRIPE__BASE_URL=stripe.base_url,
                SOURCES__SCRAPED__TARGETS=str(targets),
                RUNTIME__LOG_LEVEL="DEBUG",
            ),
        ]
    assert "pushed: 1" in told[1].text
    assert "scraped: 2 observations" in told[1].text
    assert "stripe: " in told[1].text
    for done in told:
        assert CANARY not in done.text


def build(house: House) -> None:
    """Build the report; what data tests of other subjects say of a company with events alone is theirs to hold."""
    assert "FAILED: model" not in house.kpi("build", "--date", REPORT).complained


def warehouse_of(house: House) -> Warehouse:
    return Warehouse("duckdb", house.file, "", ZONE)


def rebuild(house: House, *models: str) -> None:
    """Build some models alone."""
    house.lend_reading()
    dates = {"KPI_REPORT_DATE": REPORT, "KPI_BACKFILL_FROM": "", "KPI_BACKFILL_TO": ""}
    report = run_dbt(warehouse_of(house), ["run", "--select", *models], lambda line: None, dates)
    assert report.failures == []


def copy_of(company: House, folder: Path) -> House:
    """The same company in another folder, to be changed."""
    return company.copied(folder / "copy")


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def export_of(house: House) -> Path:
    folder: Path = house.folder / "exports" / REPORT
    return folder


def test_an_export_holds_every_published_table_in_both_formats(company: House) -> None:
    names = {path.name for path in export_of(company).iterdir()}
    tables = {*published_marts(), "metric_data", "release_ledger", "release_parameters", "data_dictionary"}
    assert names == {f"{table}.{form}" for table in tables for form in ("csv", "parquet")} | {
        "privacy.json",
        "datapackage.json",
    }
    package = json.loads((export_of(company) / "datapackage.json").read_text())
    for resource in package["resources"]:
        content = (export_of(company) / resource["path"]).read_bytes()
        assert len(content) == resource["bytes"]
        if resource["format"] == "csv":
            header = content.decode().splitlines()[0].split(",")
            assert header == [field["name"] for field in resource["schema"]["fields"]]


def test_every_published_number_is_what_its_derivation_gives_from_the_ledger(company: House) -> None:
    """The evaluator knows nothing of the SQL of the marts: the two are held against each other."""
    ledger = Ledger.of(
        dict(zip(LEDGER_COLUMNS, row, strict=True))
        for row in company.rows(f"select {', '.join(LEDGER_COLUMNS)} from kpi_metrics.release_ledger")
    )
    compared = 0
    for mart, columns in published_marts().items():
        grain = next(grain for grain, word in ADJECTIVES.items() if mart.startswith(word))
        numbers = {name: parse(text) for name, (_, text) in columns.items() if "calendar" not in text}
        evaluator = Evaluator(ledger, grain, numbers)
        for start, *values in company.rows(
            f"select period_start_date, {', '.join(numbers)} from kpi_metrics.{mart} where report_date = '{REPORT}'"
        ):
            for name, value in zip(numbers, values, strict=True):
                given = evaluator.column(name, start)
                is_same = value is given is None or (
                    value is not None
                    and given is not None
                    and math.isclose(value, given, rel_tol=1e-12, abs_tol=1e-12)
                )
                assert is_same, (mart, start, name, value, given)
                compared += 1
    assert compared > 500


def test_publishing_again_changes_nothing(company: House) -> None:
    before = files_below(export_of(company))
    stamps = {path: path.stat().st_mtime_ns for path in export_of(company).iterdir()}
    company.kpi("publish").is_well("was published before, and says the same")
    assert {path: path.stat().st_mtime_ns for path in export_of(company).iterdir()} == stamps
    assert files_below(export_of(company)) == before


def test_the_audit_command_ends_with_one_when_something_can_be_found_out(
    company: House, tmp_path: Path
) -> None:
    company.kpi("privacy", "audit", str(export_of(company))).is_well("nothing can be found out")
    shutil.copytree(export_of(company), tmp_path / REPORT)
    (tmp_path / REPORT / "daily_engagement.csv").write_text("report_date\n")
    told = company.kpi("privacy", "audit", str(tmp_path))
    assert told.code == 1
    assert f"{REPORT}/daily_engagement.csv" in told.shown


def test_publishing_what_the_attacker_rejects_is_refused_and_writes_nothing(
    company: House, tmp_path: Path
) -> None:
    house = copy_of(company, tmp_path)
    with duckdb.connect(str(house.file)) as connection:
        connection.execute(
            "update kpi_metrics.daily_engagement set active_users = active_users + 1"
            " where period_start_date = (select max(period_start_date) from kpi_metrics.daily_engagement)"
        )
    house.kpi("publish", "--to", str(tmp_path / "new")).fails_with(
        1, "is not written", "column active_users", "has no explanation"
    )
    assert not any((tmp_path / "new").rglob("*.csv"))
    house.kpi("publish").fails_with(1, "is not what the warehouse says now", "Released figures never change")


def test_an_export_stays_what_it_was_when_the_catalogue_publishes_other_metrics(
    company: House, tmp_path: Path
) -> None:
    house = copy_of(company, tmp_path)
    with duckdb.connect(str(house.file)) as connection:
        connection.execute("delete from kpi_metrics.metric_data where metric_key = 'all_tests'")
    house.kpi("publish").is_well("was published before, and says the same")
    with duckdb.connect(str(house.file)) as connection:
        connection.execute(
            "update kpi_metrics.metric_data set value = value + 1 where metric_key = 'active_users'"
        )
    house.kpi("publish").fails_with(1, "metric_data has other rows in the warehouse")


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")
def test_a_publish_killed_anywhere_leaves_no_half_an_export_and_the_next_one_gives_the_same_bytes(
    company: House, tmp_path: Path
) -> None:
    house, exports = warehouse_of(company), tmp_path / "exports"

    def work() -> None:
        publish(house, exports, lambda line: None)

    # At the first file, at one between others, at the last, and as the folder gets its name.
    files = len(list(export_of(company).iterdir()))
    for number in (1, files // 2, files, files + 1):
        assert killed_in(work, at_files_below(str(exports)), number)
        assert [path.name for path in exports.iterdir()] == [f".{REPORT}.writing"]
        with pytest.raises(KpiError, match="no export and holds none"):
            audit([exports], lambda line: None)
        check_exports(replace(house, exports_path=exports))
    work()
    assert files_below(exports) == files_below(export_of(company))
    assert [path.name for path in exports.iterdir()] == [REPORT]


def test_what_a_killed_build_left_half_made_is_not_published(company: House, tmp_path: Path) -> None:
    house, exports = copy_of(company, tmp_path), tmp_path / "exports"
    with duckdb.connect(str(house.file)) as connection:
        connection.execute(f"delete from kpi_metrics.weekly_funnel where report_date = '{REPORT}'")
    with pytest.raises(KpiError, match=f"weekly_funnel is not that of the report of {REPORT}"):
        publish(warehouse_of(house), exports, lambda line: None)
    assert not exports.exists()


def test_a_folder_that_is_no_export_is_left_alone(company: House, tmp_path: Path) -> None:
    (tmp_path / REPORT).mkdir()
    (tmp_path / REPORT / "daily_engagement.csv").write_text("a copy that was cut off")
    with pytest.raises(KpiError, match="is no export"):
        publish(warehouse_of(company), tmp_path, lambda line: None)
    assert [path.name for path in (tmp_path / REPORT).iterdir()] == ["daily_engagement.csv"]


def test_a_damaged_export_stops_the_build_since_nobody_knows_what_was_released(
    company: House, tmp_path: Path
) -> None:
    shutil.copytree(export_of(company), tmp_path / REPORT)
    house = replace(warehouse_of(company), exports_path=tmp_path)
    check_exports(house)
    ledger = tmp_path / REPORT / "release_ledger.parquet"
    ledger.write_bytes(ledger.read_bytes()[:500])
    with pytest.raises(KpiError, match="cannot be read"):
        check_exports(house)


def test_a_lost_ledger_stops_the_build_until_it_is_restored(company: House, tmp_path: Path) -> None:
    house = copy_of(company, tmp_path)
    ledger = "select * exclude (released_at) from kpi_metrics.release_ledger order by all"
    before = house.rows(ledger)
    with duckdb.connect(str(house.file)) as connection:
        connection.execute("drop table kpi_metrics.release_ledger")
        connection.execute("drop table kpi_metrics.release_parameters")
    house.kpi("build", "--date", REPORT).fails_with(1, "does not hold", "kpi privacy restore")
    house.kpi("doctor").shown.index("kpi privacy restore")
    house.kpi("privacy", "restore", str(house.folder / "exports")).is_well("rows brought back")
    assert house.rows(ledger) == before
    house.kpi("privacy", "restore", str(house.folder / "exports")).is_well("nothing was missing")
    house.kpi("publish", "--to", str(tmp_path / "again")).is_well()
    assert files_below(tmp_path / "again") == files_below(export_of(company))


def test_a_forgotten_user_is_in_no_table_and_stays_out(company: House, tmp_path: Path) -> None:
    house = copy_of(company, tmp_path)
    user = f"{CANARY}-3@example.org"
    [(user_key,)] = house.rows("select user_key from raw_events.events where event_id = 'a3'")
    events = house.one(f"select count(*) from raw_events.events where user_key = '{user_key}'")
    total = house.one("select count(*) from raw_events.events")
    process = house.start_program("sh", "-c", f"echo '  {user} ' | kpi forget - --no-build", cwd=PROJECT_ROOT)
    shown, complained = process.communicate(timeout=120)
    assert process.returncode == 0, complained
    assert f"forgotten: {events} lines deleted" in shown
    assert CANARY not in shown + complained
    house.kpi("forget", user, "--no-build").is_well("forgotten (erased before): 0 lines deleted")
    assert house.one("select count(*) from raw_events.erasures") == 1
    text = house.events / "events.jsonl"
    text.write_text(
        text.read_text() + json.dumps(event("new", "test_completed", 3, "2026-03-11T08:00:00Z", {})) + "\n"
    )
    house.kpi("ingest", "events").is_well(f"{events + 1} erased left out")
    rebuild(house, "+published_daily_engagement", "+event_fates", "+int_period_users")
    assert house.one("select count(*) from raw_events.events") == (total - events) * 2
    assert house.one("select count(*) from intermediate.int_users where account_date is not null") == 44
    assert (
        house.one("select sum(lines) from kpi_internal.event_fates where fate = 'erased'") == 2 * events + 1
    )
    for name, rows in everything(house).items():
        assert user_key not in rows, name
    assert house.rows("select * from kpi_metrics.release_ledger order by all") == company.rows(
        "select * from kpi_metrics.release_ledger order by all"
    )
    house.kpi("publish").is_well("was published before, and says the same")


def everything(house: House) -> dict[str, str]:
    """Every row of every table and view of a warehouse as text."""
    names = house.rows("select table_schema || '.' || table_name from information_schema.tables order by all")
    with house.opened():
        return {name: repr(house.rows(f"select * from {name}")) for (name,) in names}


def texts_in(path: Path) -> Iterator[bytes]:
    """What a file says, and what it says once it is unpacked."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    elif content.startswith(b"PAR1") and content.endswith(b"PAR1"):
        yield repr(pq.read_table(path).to_pylist()).encode()


def leaks(house: House, *wanted: str) -> list[str]:
    """Name each table and file in which a text stands; sources, and pages and pushed rows as they came, are left aside."""
    found = [name for name, rows in everything(house).items() for text in wanted if text in rows]
    left_aside = (house.events, house.folder / "given", house.folder / "hook")
    for path in house.folder.rglob("*"):
        is_source = any(folder in path.parents for folder in left_aside) or path.name.endswith(".page.gz")
        if path.is_file() and not is_source and not path.name.endswith(".keys.toml"):
            contents = list(texts_in(path))
            found += [str(path) for text in wanted for content in contents if text.encode() in content]
    return found


def test_personal_data_are_in_no_table_file_log_or_export(company: House, tmp_path: Path) -> None:
    house = copy_of(company, tmp_path)
    keys = house.file.with_suffix(".keys.toml").read_text()
    secrets = [line.split('"')[1] for line in keys.splitlines() if '"' in line]
    assert len(secrets) == 2
    assert leaks(house, CANARY, *secrets) == []
    told = [
        house.kpi("ingest", "events", SOURCES__EVENTS__MAPPING="{}", RUNTIME__LOG_LEVEL="DEBUG"),
        house.kpi("forget", f"{CANARY}-1@example.org", "--no-build"),
        house.kpi(
            "forget", f"{CANARY}-2@example.org", "--no-build", KPI_USER_KEY="x" * 32, KPI_RECORD_KEY="y" * 32
        ),
        house.kpi("doctor"),
        house.kpi("status"),
        house.kpi("explain", "active_users", "--date", "2026-03-05"),
        house.kpi("digest", "--dry-run", "--force", "--date", REPORT, "--to", "text"),
    ]
    # A load that is killed, and what it left in dlt's folder.
    house.write_events(
        "more.jsonl", [event("more", "test_completed", 4, "2026-03-11T08:00:00Z", {"status": "success"})]
    )
    assert struck(house, "ingest", "events", strike=Strike("os.rename .*normalize/.*extracted"))
    assert list((house.state / "pipelines").rglob("*.parquet"))
    assert leaks(house, CANARY, *secrets) == []
    # A file that breaks the load, and a data test that fails with its failures stored.
    (house.events / "broken.jsonl.gz").write_bytes(f"{CANARY} no gzip".encode())
    told.append(house.kpi("ingest", "events"))
    assert told[-1].code == 1
    with duckdb.connect(str(house.file)) as connection:
        connection.execute("update kpi_internal.daily_engagement set successful_tests = all_tests + 1")
    told.append(
        house.program(
            "dbt",
            "test",
            "--store-failures",
            *("--select", "daily_engagement", "--target-path", str(house.folder / "target")),
            *("--log-path", str(house.folder / "logs")),
            KPI_TARGET="duckdb",
            KPI_SCHEMA_PREFIX="",
            DBT_PROFILES_DIR="profiles",
        )
    )
    assert told[-1].code == 1
    # The project's own tests store nothing, even if asked to.
    assert house.rows("select 1 from information_schema.tables where table_schema like '%test__audit'") == []
    for done in told:
        assert CANARY not in done.text
    assert leaks(house, CANARY, *secrets) == []


def test_exports_and_artifacts_hold_no_pseudonym(company: House) -> None:
    pseudonyms = company.rows("select distinct user_key, cast(record_key as varchar) from raw_events.events")
    folders = [export_of(company), company.state / "dbt"]
    texts = [path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()]
    for user_key, record_key in pseudonyms:
        for text in texts:
            assert user_key.encode() not in text
            assert record_key.encode() not in text


def test_the_doctor_names_what_is_wrong_and_what_to_do(company: House, tmp_path: Path) -> None:
    company.kpi("doctor").is_well("ok keys", "ok ledger and exports", "each column explained")
    house = copy_of(company, tmp_path)
    keys = house.file.with_suffix(".keys.toml")
    keys.chmod(0o644)
    told = house.kpi("doctor")
    assert told.code == 1
    assert "WRONG file rights" in told.shown
    assert "chmod 600" in told.shown
    keys.unlink()
    told = house.kpi("doctor")
    assert told.code == 1
    assert "Put the file back from your backup" in told.shown
    assert not keys.exists()


def test_the_record_key_can_be_rotated_and_the_user_key_stays(company: House, tmp_path: Path) -> None:
    house = copy_of(company, tmp_path)
    keys = house.file.with_suffix(".keys.toml")
    before = keys.read_text().splitlines()
    house.kpi("privacy", "rotate").is_well("Released periods keep what they have")
    after = keys.read_text().splitlines()
    assert keys.stat().st_mode & 0o777 == 0o600
    assert [line for line in after if "user" in line] == [line for line in before if "user" in line]
    assert [line for line in after if "record" in line] != [line for line in before if "record" in line]
    house.write_events(
        "more.jsonl", [event("later", "test_completed", 3, "2026-03-11T08:00:00Z", {"status": "success"})]
    )
    house.kpi("ingest", "events").is_well("1 events")
    house.kpi("privacy", "rotate", KPI_USER_KEY="x" * 32, KPI_RECORD_KEY="y" * 32).fails_with(
        2, "are configured", "KPI_RECORD_KEY"
    )


def test_nothing_to_publish_says_so(house: House) -> None:
    house.kpi("publish").fails_with(1, "Nothing has been built yet", "kpi build")
    house.kpi("forget", "somebody").fails_with(1, "No events have been loaded yet")
    house.kpi("forget", "  ").fails_with(2, "The id is blank")


def test_a_report_that_was_never_built_is_not_published(company: House) -> None:
    company.kpi("publish", "--date", "2020-01-01").fails_with(2, "no protected report of 2020-01-01")


def test_the_dictionary_explains_every_published_column(company: House) -> None:
    rows = list(csv.DictReader(io.StringIO((export_of(company) / "data_dictionary.csv").read_text())))
    for row in rows:
        assert row["description"], row
        assert row["derivation"] or row["table_name"].startswith("release_"), row

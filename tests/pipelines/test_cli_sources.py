"""What fails while loading is said with its remedy, stops nothing else, loses nothing, and is mended by the next run."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from command_support import BIN, RECORD_KEY, USER_KEY, Finished, House, account, attempt, finish
from filelock import FileLock

from pipelines.demo.page_server import PageServer
from pipelines.demo.stripe_account import Line
from pipelines.demo.stripe_server import StripeServer

EVENTS = "select count(*) from raw_events.events"
KEYS = {"KPI_USER_KEY": USER_KEY, "KPI_RECORD_KEY": RECORD_KEY}


@pytest.fixture
def stripe(house: House) -> Iterator[StripeServer]:
    """A loopback Stripe with one invoice, configured."""
    with StripeServer() as server:
        customer = server.account.add_customer(name="Canary Person", email="canary@example.org")
        server.account.add_invoice(customer, "usd", [Line(700)])
        house.settings |= {
            "SOURCES__STRIPE__API_KEY": server.api_key,
            "SOURCES__STRIPE__BASE_URL": server.base_url,
        }
        yield server


def test_a_malformed_line_in_the_middle_is_shown_and_the_others_are_loaded(house: House) -> None:
    house.write_events("one.jsonl", [account(1), '{"broken": canary', attempt(1)])
    house.kpi("ingest").is_well("2 events", "1 malformed", "one.jsonl", "first lines: 2")
    assert house.one(EVENTS) == 2
    assert house.rows("select reason, line_number from raw_events.quarantine") == [("malformed", 2)]


def test_an_events_folder_that_is_empty_is_fine_and_one_that_is_not_there_is_named(house: House) -> None:
    assert house.events.is_dir()
    house.kpi("ingest").is_well("nothing new", "no event files")
    away = house.folder / "away"
    told = house.kpi("ingest", SOURCES__EVENTS__PATH=str(away))
    assert told.code in {1, 2}
    told.fails_with(told.code, str(away), "->")


def test_a_wrong_stripe_key_stops_stripe_and_not_the_events(house: House, stripe: StripeServer) -> None:
    house.write_events("one.jsonl", [account(1), attempt(1)])
    told = house.kpi("ingest", SOURCES__STRIPE__API_KEY="sk_test_canary00000000")
    told.fails_with(1, "does not accept the API key (401)", "Set SOURCES__STRIPE__API_KEY")
    assert "sk_test_canary" not in told.text
    assert house.one(EVENTS) == 2
    house.kpi("ingest").is_well("1 invoices")
    assert house.one("select count(*) from raw_stripe.invoices") == 1
    assert house.one(EVENTS) == 2


def test_an_unreachable_stripe_and_a_page_that_is_gone_stop_nothing_else(house: House) -> None:
    house.write_events("one.jsonl", [account(1), attempt(1)])
    with PageServer() as site:
        targets = house.folder / "scraped.toml"
        targets.write_text(
            f'[[target]]\nmetric_key = "gone"\nurl = "{site.url}/gone"\ncss = "b"\n'
            f'[[target]]\nmetric_key = "readers"\nurl = "{site.url}/about"\ncss = "#subscribers"\ndecimal = "."\n',
            encoding="utf-8",
        )
        house.settings["SOURCES__SCRAPED__TARGETS"] = str(targets)
        told = house.kpi(
            "ingest",
            SOURCES__STRIPE__API_KEY="sk_test_canary00000000",
            SOURCES__STRIPE__BASE_URL="http://127.0.0.1:9",
        )
    told.fails_with(1, "refuses the connection", "gone", "404", "->")
    assert "canary" not in told.text
    assert house.one(EVENTS) == 2
    states = dict(house.rows("select metric_key, state from raw_scraped.observations"))
    assert states == {"gone": "broken", "readers": "ok"}


def test_a_warehouse_file_that_is_open_elsewhere_is_named_and_the_next_run_mends_it(house: House) -> None:
    house.write_events("one.jsonl", [account(1)])
    house.kpi("ingest").is_well()
    house.write_events("two.jsonl", [attempt(1)])
    hold = f"import duckdb; c = duckdb.connect({str(house.file)!r}); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=-1, stdout=-1, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        for command in ("ingest", "build"):
            told = house.kpi(command)
            told.fails_with(
                1, f"{house.file} is open in another process", str(holder.pid), "-> Close it there"
            )
            assert told.complained.count("Error:") == 1
        holder.communicate("\n")
    house.kpi("ingest").is_well("1 events")
    assert house.one(EVENTS) == 2


def test_a_second_run_at_the_same_time_ends_at_once(house: House) -> None:
    house.write_events("one.jsonl", [account(1)])
    house.state.mkdir(parents=True)
    with FileLock(house.state / "run.lock"):
        house.kpi("ingest").fails_with(1, "Another kpi run is at work", "Wait until it has ended")
        house.program(str(BIN / "python"), "-m", "pipelines.sources.events").fails_with(1, "Another kpi run")
    assert not house.file.exists()


def test_a_file_that_is_no_warehouse_is_left_as_it_is(house: House) -> None:
    house.write_events("one.jsonl", [account(1)])
    house.file.write_text("my diary " * 1000, encoding="utf-8")
    house.kpi("ingest").fails_with(2, "which is no DuckDB file", "KPI_DUCKDB_PATH")
    assert house.file.read_text(encoding="utf-8") == "my diary " * 1000


def interrupted(process: "subprocess.Popen[str]") -> Finished:
    """Press Ctrl-C, and again as people do when nothing happens: dlt holds the first one back for a while."""
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
            break
    return finish(process)


def test_ctrl_c_while_loading_loses_nothing_and_the_next_run_goes_on(
    house: House, stripe: StripeServer
) -> None:
    house.write_events("one.jsonl", [account(1), attempt(1)])
    asked, answer = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        asked.set()
        answer.wait(60)

    stripe.before_answer = wait
    process = house.start("ingest")
    assert asked.wait(60)
    told = interrupted(process)
    answer.set()
    told.fails_with(1, "Stopped. Nothing loaded before is lost")
    stripe.before_answer = None
    house.kpi("ingest").is_well("1 invoices")
    assert house.one(EVENTS) == 2
    assert house.one("select count(*) from raw_stripe.invoices") == 1


def test_without_the_keys_of_the_stored_events_nothing_is_loaded(house: House) -> None:
    house.write_events("one.jsonl", [account(1)])
    house.kpi("ingest").is_well()
    [keys] = house.folder.glob("*.keys.toml")
    assert keys.stat().st_mode & 0o077 == 0
    kept = keys.rename(house.folder / "elsewhere")
    house.write_events("two.jsonl", [attempt(1)])
    house.kpi("ingest").fails_with(1, "every user would count twice", "put the keys file back")
    assert house.one(EVENTS) == 1
    kept.replace(keys)
    house.kpi("ingest").is_well("1 events")
    assert house.one(EVENTS) == 2


def full(house: House) -> Finished:
    """Ingest with room for files of 4 MB: writing on fails as on a full disk, the warehouse file included."""

    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))

    process = subprocess.Popen(
        [str(BIN / "kpi"), "ingest"],
        cwd=Path(__file__).parents[2],
        env=house.environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=little_room,
    )
    return finish(process)


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files as POSIX systems do")
def test_a_disk_that_is_full_is_said_and_the_next_run_mends_it(house: House) -> None:
    house.write_events("one.jsonl", [account(1)])
    house.kpi("ingest").is_well()
    house.write_events("two.jsonl", [attempt(number) for number in range(120_000)])
    full(house).fails_with(1, "full", "Make room", "nothing loaded before is lost")
    assert house.one(EVENTS) == 1
    house.kpi("ingest").is_well()
    assert house.one(EVENTS) == 120_001


def test_secrets_and_people_are_in_no_output_and_no_file(house: House, stripe: StripeServer) -> None:
    house.settings |= KEYS
    house.write_events(
        "one.jsonl", [account(1), "{canary-line", {**attempt(2), "email": "canary@example.org"}]
    )
    told = house.kpi("ingest", RUNTIME__LOG_LEVEL="INFO")
    assert told.code == 0, told.text
    hidden = [USER_KEY, RECORD_KEY, stripe.api_key, "person-1", "canary"]
    assert [text for text in hidden if text in told.text] == []
    written = [
        path for path in house.folder.rglob("*") if path.is_file() and house.events not in path.parents
    ]
    assert house.file in written
    assert [(path, text) for path in written for text in hidden if text.encode() in path.read_bytes()] == []
    with duckdb.connect(str(house.file), read_only=True) as connection:
        tables = connection.execute(
            "select table_schema || '.' || table_name from information_schema.tables"
        ).fetchall()
        stored = "".join(repr(connection.execute(f"select * from {table}").fetchall()) for (table,) in tables)
    assert [text for text in hidden if text in stored] == []

"""Wrong usage ends with 2, says what is wrong and what to do, and touches nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from command_support import BIN, House

from pipelines.cli import cli
from pipelines.sources import SOURCES
from pipelines.warehouse import PROJECT_ROOT

LATER = "2999-12-31"


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process without a setting of ours, and a warehouse file that must not come into being."""
    monkeypatch.setenv("KPI_DUCKDB_PATH", str(tmp_path / "warehouse.duckdb"))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], "No such command 'fly'"),
        (["build", "--fast"], "No such option"),
        (["ingest", "shopify"], "'shopify' is not one of"),
        (["build", "--date", "23.12.2025"], "does not match the format '%Y-%m-%d'"),
        (["build", "--date", "2025-02-30"], "does not match the format"),
        (["build", "--date"], "requires an argument"),
        (["run", "--date", "yesterday"], "does not match the format"),
        (["backfill", "--from", "2025-12-01"], "Missing option '--to'"),
        (["backfill", "--from", "2025-12-01", "--to", "2025-13-01"], "does not match the format"),
        (["build", "2025-12-01"], "unexpected extra argument"),
    ],
)
def test_a_command_line_that_cannot_be_understood_ends_with_2(
    nothing_set: Path, arguments: list[str], said: str
) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert list(nothing_set.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["ingest"], {}, ["No source is configured", "SOURCES__EVENTS__PATH", "kpi demo"]),
        (["run"], {}, ["No source is configured", "SOURCES__STRIPE__API_KEY"]),
        (["ingest", "events"], {}, ["SOURCES__EVENTS__PATH"]),
        (["ingest", "stripe"], {}, ["SOURCES__STRIPE__API_KEY is not set"]),
        (["ingest", "scraped"], {}, ["scraped.toml", "SOURCES__SCRAPED__TARGETS"]),
        (["ingest", "pushed"], {}, ["Nothing was handed over yet", "kpi push FILE.csv"]),
        (["push", "no.csv"], {}, ["There is no file no.csv"]),
        (
            ["push", str(PROJECT_ROOT / "README.md")],
            {},
            ["README.md has no column 'metric'", "metric,value,timestamp"],
        ),
        (["serve"], {"KPI_PUSH_TOKENS": "canary"}, ["Token 1 of KPI_PUSH_TOKENS is shorter than 32"]),
        (["serve", "--host", "no.such.host.invalid"], {}, ["no.such.host.invalid is no address"]),
        (["build", "--date", LATER], {}, [f"{LATER} lies after today", "UTC"]),
        (["run", "--date", LATER], {"SOURCES__EVENTS__PATH": "."}, [f"{LATER} lies after today"]),
        (
            ["backfill", "--from", "2025-12-01", "--to", "2025-11-30"],
            {},
            ["ends (2025-11-30) before it begins (2025-12-01)"],
        ),
        (
            ["build"],
            {"KPI_REPORTING_TIMEZONE": "Berlin"},
            ["KPI_REPORTING_TIMEZONE is 'Berlin'", "Europe/Berlin"],
        ),
        (["build"], {"KPI_TARGET": "postgres"}, ["KPI_TARGET is 'postgres'", "duckdb or bigquery"]),
        (["build"], {"KPI_SCHEMA_PREFIX": "1; drop"}, ["KPI_SCHEMA_PREFIX is '1; drop'"]),
    ],
)
def test_a_setting_that_cannot_be_used_ends_with_2_and_the_remedy(
    nothing_set: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    settings: dict[str, str],
    said: list[str],
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2, result.output
    for part in [*said, "->"]:
        assert part in result.stderr
    assert result.stderr.count("Error:") == 1
    assert not (nothing_set / "warehouse.duckdb").exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"KPI_USER_KEY": "canary", "KPI_RECORD_KEY": "r" * 32}, "shorter than 32 characters"),
        ({"KPI_USER_KEY": "canary" * 8}, "KPI_RECORD_KEY is not set"),
        ({"KPI_USER_KEY": "canary" * 8, "KPI_RECORD_KEY": "canary" * 8}, "are the same"),
    ],
)
def test_keys_that_cannot_be_used_end_with_2_and_are_not_shown(
    house: House, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], said: str
) -> None:
    house.write_events("one.jsonl", ["{}"])
    for name, value in {**keys, **house.settings, "KPI_DUCKDB_PATH": str(house.file)}.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(cli, ["ingest", "events"])
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "canary" not in result.output


def test_help_names_every_command_and_setting(house: House) -> None:
    helped = house.kpi("--help")
    helped.is_well(
        "KPI_TARGET", "KPI_DUCKDB_PATH", "KPI_REPORTING_TIMEZONE", "KPI_USER_KEY", "KPI_RECORD_KEY"
    )
    helped.is_well("Exit codes", *cli.commands)
    assert list(house.folder.iterdir()) == []
    ingest = CliRunner().invoke(cli, ["ingest", "--help"]).output
    assert all(f"SOURCES__{name.upper()}__" in ingest for name in SOURCES if name != "pushed")
    assert "KPI_INBOX_PATH" in ingest


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_is_a_program_of_its_own(house: House, source: str) -> None:
    program = (str(BIN / "python"), "-m", f"pipelines.sources.{source}")
    house.program(*program, "--help").is_well("Usage:")
    house.program(*program).fails_with(2, "->")
    assert not house.file.exists()


@pytest.mark.parametrize("name", ["config.toml", "secrets.toml"])
def test_a_settings_file_that_is_no_toml_is_named_and_not_shown(house: House, name: str) -> None:
    (house.folder / ".dlt").mkdir()
    (house.folder / ".dlt" / name).write_text('[sources.stripe]\napi_key = "canary', encoding="utf-8")
    told = house.program(str(BIN / "kpi"), "ingest", cwd=house.folder)
    told.fails_with(2, f".dlt/{name} cannot be read as TOML (line 2", "->")
    assert "canary" not in told.text

"""SQL reads no clock and asks nothing while it is parsed."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.warehouse import PROJECT_ROOT

FOLDERS = ("models", "macros", "tests/data")
CLOCK = re.compile(
    r"\b(current_(date|time|timestamp|datetime)|getdate|sysdate|systimestamp|localtime(stamp)?|transaction_timestamp"
    r"|statement_timestamp|get_current_timestamp|utcnow|unix_now)\b"
    r"|\bnow\s*\(|\btoday\s*\(\s*\)",
    re.IGNORECASE,
)
QUESTION = re.compile(
    r"\brun_query\b|\bstatement\s*\(|\bload_result\b|\bget_column_values\b"
    r"|\badapter\.(execute|get_relation|get_columns_in_relation|get_missing_columns|list_relations)\b"
)
DAY_OF_THE_RUN = "macros/reporting_time.sql"


def sql(*suffixes: str) -> Iterator[tuple[str, str]]:
    """Each file under the folders of dbt, without its comments."""
    for folder in FOLDERS:
        for path in sorted((PROJECT_ROOT / folder).rglob("*")):
            if path.suffix in suffixes:
                text = re.sub(r"\{#.*?#\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
                yield path.relative_to(PROJECT_ROOT).as_posix(), re.sub(r"--.*", "", text)


def test_no_sql_reads_a_clock() -> None:
    assert [
        f"{path}: {found[0]}" for path, text in sql(".sql", ".yml") for found in CLOCK.finditer(text)
    ] == []


def test_the_instant_of_a_run_is_read_in_one_file() -> None:
    assert [path for path, text in sql(".sql", ".yml") if "run_started_at" in text] == [DAY_OF_THE_RUN]


def test_nothing_asks_the_warehouse_while_parsing() -> None:
    for path, text in sql(".sql"):
        asked = QUESTION.search(text)
        assert not asked or re.search(r"\bif execute\b", text[: asked.start()]), f"{path}: {asked}"


def test_macros_stay_a_handful_of_files() -> None:
    assert len(list((PROJECT_ROOT / "macros").rglob("*.sql"))) <= 10


def test_every_macro_says_what_it_yields() -> None:
    for path in (PROJECT_ROOT / "macros").rglob("*.sql"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\{%-? macro (\w+)", text):
            if name.startswith(("default__", "bigquery__", "duckdb__")):
                continue
            said = re.search(r"\{#-? Yields [^#]+#\}\s*\{%-? macro " + name + r"\b", text)
            assert said, f"{Path(path).name}: {name}"


def test_a_model_has_no_header_unless_it_is_peculiar() -> None:
    """Materialisation, schema, contract and access come from the folder; an incremental model names its own."""
    for path, text in sql(".sql"):
        if path.startswith("models/") and "config(" in text:
            assert "materialized='incremental'" in text or "config(**replaces_" in text or "hook" in text, (
                path
            )

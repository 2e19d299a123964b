"""`kpi doctor` on BigQuery: who is let in where."""

from pathlib import Path

import pytest

from pipelines import bigquery
from pipelines.privacy import doctor
from pipelines.privacy.doctor import examine
from pipelines.warehouse import Warehouse, environment


def said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rights: dict[str, list[str]], **settings: str
) -> tuple[bool, str]:
    """What the doctor says of grants where the datasets have these rights."""
    monkeypatch.setattr(bigquery, "grantees", lambda warehouse, schema: rights.get(schema, []))
    monkeypatch.setattr(doctor, "_CHECKS", {"grants": doctor._grants})
    with environment(**settings):
        [check] = examine(Warehouse("bigquery", tmp_path / "w.duckdb", "", "UTC"))
    return check.is_well, f"{check.said} {check.remedy}"


READERS = {
    "KPI_PUBLISHED_READERS": "group:partners@example.com",
    "KPI_INTERNAL_READERS": "group:company@example.com",
}


def test_without_readers_the_doctor_asks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_well, text = said(tmp_path, monkeypatch, {})
    assert not is_well
    assert "KPI_PUBLISHED_READERS" in text


def test_readers_of_published_figures_are_let_into_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(tmp_path, monkeypatch, {"kpi_internal": ["group:company@example.com"]}, **READERS)[0]
    is_well, text = said(tmp_path, monkeypatch, {"raw_events": ["group:partners@example.com"]}, **READERS)
    assert not is_well
    assert "raw_events to group:partners@example.com" in text


def test_a_dataset_that_is_open_to_everybody_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_well, text = said(tmp_path, monkeypatch, {"seeds": ["specialGroup:allAuthenticatedUsers"]}, **READERS)
    assert not is_well
    assert "seeds to" in text


def test_the_columns_of_raw_tables_are_asked_of_their_own_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(warehouse: Warehouse, sql: str, *parameters: str) -> list[dict[str, str]]:
        asked.append(sql)
        return [{"table_name": "events", "column_name": "email"}]

    monkeypatch.setattr(doctor, "query", answer)
    monkeypatch.setattr(doctor, "_CHECKS", {"allowlists": doctor._allowlists})
    [check] = examine(Warehouse("bigquery", tmp_path / "w.duckdb", "trial_", "UTC"))
    assert "from trial_raw_events.INFORMATION_SCHEMA.COLUMNS" in asked[0]
    assert "trial_raw_events.events.email" in check.said

"""Writes an export: every table in every format, what describes them, and the manifest, all at once or not at all."""

import datetime as dt
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.privacy.export import DICTIONARY, MANIFEST, MANIFEST_FORMAT, PACKAGE
from pipelines.privacy.leaves import FAMILIES
from pipelines.privacy.ledger import LEDGER_TABLE, PARAMETERS_TABLE, Ledger
from pipelines.privacy.tables import FORMATS, Table, printed
from pipelines.privacy.ties import KNOWN

_FRICTIONLESS = {
    "int64": "integer",
    "double": "number",
    "numeric": "number",
    "timestamp": "datetime",
}
_MEDIA = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True)
class Described:
    """A table with what people and the attacker are told about it."""

    table: Table
    description: str
    descriptions: Mapping[str, str]
    """What each column means."""
    grain: str | None = None
    derivations: Mapping[str, str] | None = None


def export_files(
    report_date: dt.date, tables: Sequence[Described], public: Sequence[str] = ()
) -> dict[str, bytes]:
    """Make the content of every file of an export; the same tables give the same bytes.

    `public` are the metrics of the long table that anybody can read elsewhere.
    """
    by_name = {described.table.name: described.table for described in tables}
    ledger = Ledger.of(by_name[LEDGER_TABLE].dicts())
    everything = sorted([*tables, _dictionary(tables)], key=lambda described: described.table.name)
    files = {
        f"{described.table.name}.{form}": described.table.content(form)
        for described in everything
        for form in FORMATS
    }
    files[PACKAGE] = _json(_package(report_date, everything, files))
    manifest = {
        "format": MANIFEST_FORMAT,
        "report_date": report_date.isoformat(),
        "parameters": [
            {name: _plain(value) for name, value in row.items()} for row in by_name[PARAMETERS_TABLE].dicts()
        ],
        "leaves": [
            {
                "family": name,
                "unit": family.unit,
                "cap": family.cap,
                "cells": {
                    grain: sorted(cells)
                    or sorted({key.cell for key in ledger.releases if key.family == name})
                    for grain, cells in family.cells.items()
                },
            }
            for name, family in FAMILIES.items()
        ],
        "facts": list(KNOWN),
        "public": list(public),
        "tables": [_manifest_entry(described) for described in everything],
        "periods": [
            {
                "grain": grain,
                "period_start_date": start.isoformat(),
                "first_released_at": printed(released_at),
                "sha256": digest,
            }
            for (grain, start), (released_at, digest) in ledger.digests().items()
        ],
        "files": [
            {"path": path, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in sorted(files.items())
        ],
    }
    return files | {MANIFEST: _json(manifest)}


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder and onto the disk."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in files.items():
        with (folder / name).open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    _sync(folder)


def move_into_place(scratch: Path, folder: Path) -> None:
    """Give a folder that is complete its name: a reader sees all of it, or nothing."""
    scratch.rename(folder)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _dictionary(tables: Sequence[Described]) -> Described:
    columns = ("table_name", "column_name", "data_type", "description", "derivation")
    rows = [
        (
            described.table.name,
            name,
            kind,
            described.descriptions.get(name, ""),
            (described.derivations or {}).get(name),
        )
        for described in sorted(tables, key=lambda described: described.table.name)
        for name, kind in described.table.columns
    ]
    meanings = {
        "table_name": "Name of the table.",
        "column_name": "Name of the column.",
        "data_type": "Its type.",
        "description": "What it says.",
        "derivation": "How it is made from released leaves; empty for what says nothing about anybody.",
    }
    table = Table(DICTIONARY, tuple((name, "string") for name in columns), tuple(rows))
    return Described(table, "What the columns of every table mean. One row per column.", meanings)


def _manifest_entry(described: Described) -> dict[str, Any]:
    columns = [
        {"name": name, "type": kind, "derivation": (described.derivations or {}).get(name)}
        for name, kind in described.table.columns
    ]
    return {
        "name": described.table.name,
        "grain": described.grain,
        "rows": len(described.table.rows),
        "columns": columns,
    }


def _package(report_date: dt.date, tables: Sequence[Described], files: Mapping[str, bytes]) -> dict[str, Any]:
    resources = []
    for described in tables:
        fields = [
            {
                "name": name,
                "type": _FRICTIONLESS.get(kind, kind),
                "description": described.descriptions.get(name, ""),
            }
            for name, kind in described.table.columns
        ]
        for form in FORMATS:
            path = f"{described.table.name}.{form}"
            resources.append(
                {
                    "name": f"{described.table.name}-{form}".replace("_", "-"),
                    "path": path,
                    "format": form,
                    "mediatype": _MEDIA[form],
                    "description": described.description,
                    "bytes": len(files[path]),
                    "hash": f"sha256:{hashlib.sha256(files[path]).hexdigest()}",
                    "schema": {"fields": fields, "missingValues": [""]},
                }
                | ({"profile": "tabular-data-resource", "encoding": "utf-8"} if form == "csv" else {})
            )
    return {
        "profile": "data-package",
        "name": f"key-figures-{report_date}",
        "title": f"Key figures of {report_date}, protected",
        "resources": resources,
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | None) else printed(value)


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()

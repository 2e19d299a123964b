"""An export as it lies in its folder: the manifest and the tables, with every way in which they disagree."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.errors import KpiError
from pipelines.privacy.tables import FORMATS, Table, TableError, csv_cells, differences, read_parquet

MANIFEST = "privacy.json"
PACKAGE = "datapackage.json"
DICTIONARY = "data_dictionary"
MANIFEST_FORMAT = 1
MOST_SHOWN = 3
"""Places named for one kind of difference in one file; the others are counted."""


@dataclass(frozen=True)
class Finding:
    """Why an export is rejected: where, and what is wrong there."""

    export: str
    file: str
    problem: str
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        row = "" if self.row is None else f", row {self.row}"
        column = "" if self.column is None else f", column {self.column}"
        return f"{self.export}/{self.file}{row}{column}: {self.problem}"


@dataclass
class Export:
    """One export: what its manifest says and what its files hold."""

    folder: Path
    manifest: dict[str, Any]
    report_date: dt.date
    tables: dict[str, Table] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What findings call it."""
        return self.report_date.isoformat()

    def derivations(self, table: str) -> dict[str, str]:
        """Give what the manifest says about the columns of a table; nothing where it says nothing."""
        for entry in _dicts(self.manifest.get("tables")):
            if entry.get("name") == table:
                return {
                    str(column.get("name")): str(column["derivation"])
                    for column in _dicts(entry.get("columns"))
                    if column.get("derivation") is not None
                }
        return {}

    def grain(self, table: str) -> str | None:
        """Give the grain of a mart; None where it has none."""
        for entry in _dicts(self.manifest.get("tables")):
            if entry.get("name") == table:
                grain = entry.get("grain")
                return grain if isinstance(grain, str) else None
        return None

    def public_metrics(self) -> set[str]:
        """Name the metrics that the manifest declares to be public as they are."""
        named = self.manifest.get("public")
        return {str(name) for name in named} if isinstance(named, list) else set()

    def reject(self, file: str, problem: str, row: int | None = None, column: str | None = None) -> None:
        """Note a finding."""
        self.findings.append(Finding(self.name, file, problem, row, column))


def find_exports(folders: list[Path]) -> list[Path]:
    """List the exports among folders and their subfolders.

    Raises KpiError for a folder that is none and holds none.
    """
    found: dict[Path, None] = {}
    for folder in folders:
        inside = [folder] if (folder / MANIFEST).is_file() else sorted(folder.glob(f"*/{MANIFEST}"))
        exports = [path if path == folder else path.parent for path in inside]
        exports = [path for path in exports if path == folder or not path.name.startswith(".")]
        if not exports:
            raise KpiError(
                f"{folder} is no export and holds none (there is no {MANIFEST}).",
                "Name a folder that kpi publish wrote.",
            )
        found |= {path.resolve(): None for path in exports}
    return sorted(found, key=lambda path: path.name)


def exports_in(folder: Path) -> list[Path]:
    """List the exports of a folder by report date, the newest last."""
    return sorted(
        path.parent for path in folder.glob(f"*/{MANIFEST}") if not path.parent.name.startswith(".")
    )


def read_export(folder: Path) -> Export:
    """Read an export, and note where its files are not those of its manifest or its formats disagree.

    Raises KpiError where there is no manifest to go by.
    """
    manifest = _manifest(folder / MANIFEST)
    export = Export(folder, manifest, dt.date.fromisoformat(manifest["report_date"]))
    contents = _contents(export)
    names = [str(entry.get("name")) for entry in _dicts(manifest.get("tables"))]
    listed = {f"{name}.{form}" for name in names for form in FORMATS} | {PACKAGE}
    for path in sorted(set(contents) - listed):
        export.reject(path, "the manifest names no table for it")
    for name in names:
        parquet, text = contents.get(f"{name}.parquet"), contents.get(f"{name}.csv")
        if parquet is None or text is None:
            export.reject(f"{name}.{'csv' if text is None else 'parquet'}", "the file is missing")
            continue
        try:
            table = read_parquet(name, parquet)
        except TableError as error:
            export.reject(f"{name}.parquet", str(error))
            continue
        export.tables[name] = table
        _compare(export, table, text)
    return export


def _compare(export: Export, table: Table, text: bytes) -> None:
    try:
        found = differences(table, csv_cells(text))
    except TableError as error:
        export.reject(f"{table.name}.csv", str(error))
        return
    for row, column, problem in found[:MOST_SHOWN]:
        export.reject(f"{table.name}.csv", problem, row, column)
    if len(found) > MOST_SHOWN:
        export.reject(f"{table.name}.csv", f"{len(found) - MOST_SHOWN} more cells differ between the formats")


def _manifest(path: Path) -> dict[str, Any]:
    remedy = "Take the folder as kpi publish wrote it."
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        dt.date.fromisoformat(manifest["report_date"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise KpiError(f"{path} is no manifest of an export ({type(error).__name__}).", remedy) from None
    if manifest.get("format") != MANIFEST_FORMAT:
        raise KpiError(f"{path} has the format {manifest.get('format')}, which is not known here.", remedy)
    return dict(manifest)


def _contents(export: Export) -> dict[str, bytes]:
    """Read the files that the manifest lists; a file that is missing, changed or not listed is noted."""
    listed = {
        str(entry.get("path")): str(entry.get("sha256")) for entry in _dicts(export.manifest.get("files"))
    }
    contents = {}
    for path in sorted(export.folder.rglob("*")):
        name = path.relative_to(export.folder).as_posix()
        if path.is_dir() or name == MANIFEST:
            continue
        if name not in listed:
            export.reject(name, "the manifest does not list this file")
            continue
        contents[name] = path.read_bytes()
        if hashlib.sha256(contents[name]).hexdigest() != listed[name]:
            export.reject(name, "the file is not the one that the manifest lists (another SHA-256)")
    for name in sorted(set(listed) - set(contents)):
        export.reject(name, "the manifest lists this file, which is not there")
    return contents


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []

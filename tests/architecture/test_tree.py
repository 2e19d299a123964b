"""Tracked files name no machine, no package index and no secret."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from pipelines.warehouse import PROJECT_ROOT

MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|private/var)/|[A-Z]:\\Users\\")
INDEX = re.compile(r"(?<!emit-)index-url|find-links|trusted-host|https?://[^\s\"']*/simple\b")
SECRETS = {
    "a live key of Stripe": re.compile(r"\b[sr]k_live_[0-9A-Za-z]{16,}"),
    "a webhook secret": re.compile(r"\bwhsec_[0-9A-Za-z]{16,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
    "a key of a cloud": re.compile(r"\b(AKIA[0-9A-Z]{16}|AIza[0-9A-Za-z_-]{35})\b"),
    "a token of a code host": re.compile(
        r"\b(gh[pousr]_[0-9A-Za-z]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,})"
    ),
    "a token of a messenger": re.compile(
        r"\bxox[abprs]-[0-9A-Za-z-]{10,}|discord(app)?\.com/api/webhooks/\d+/\w+"
    ),
    "a pseudonym key": re.compile(r"kpi_(user|record)_key\s*=\s*[\"'][0-9a-f]{32,}", re.IGNORECASE),
    "a password in an address": re.compile(r"://[^/\s:@\"'{}<>]+:[^/\s:@\"'{}<>]{6,}@"),
}


def tracked() -> Iterator[tuple[str, str]]:
    """Each tracked text file: its path in the project and its text."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split("\0"):
        path = PROJECT_ROOT / name
        if name and path.is_file():
            try:
                yield name, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_tracked_file_names_a_machine_or_an_index() -> None:
    found = [
        f"{name}: {match[0]}"
        for name, text in tracked()
        for pattern in (MACHINE, INDEX)
        for match in pattern.finditer(text)
        if name != "tests/architecture/test_tree.py"
    ]
    assert found == []


def test_no_tracked_file_holds_a_secret() -> None:
    found = [
        f"{name} holds {kind}"
        for name, text in tracked()
        for kind, form in SECRETS.items()
        if form.search(text)
    ]
    assert found == []


def test_what_runs_leave_behind_is_ignored() -> None:
    left = [
        ".env",
        ".dlt/secrets.toml",
        "warehouse.duckdb",
        "warehouse.duckdb.wal",
        "warehouse.keys.toml",
        "warehouse.inbox/events/.open",
        ".kpi/warehouse/run.lock",
        ".kpi-demo/warehouse.duckdb",
        "target/manifest.json",
        "logs/dbt.log",
    ]
    ignored = subprocess.run(
        ["git", "check-ignore", *left], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert ignored.stdout.split() == left

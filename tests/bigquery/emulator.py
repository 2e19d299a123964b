"""A server that speaks BigQuery's wire, in an environment of its own: Python 3.13 and the packages of emulator.lock."""

import contextlib
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from pipelines.warehouse import PROJECT_ROOT, environment

HERE = Path(__file__).parent
LOCK = HERE / "emulator.lock"
EXTENSIONS = ("icu", "spatial", "ducklake")
PROJECT = "emulated"
REMEDY = "Install it (such as: pyenv install 3.13), so that python3.13 starts."
LEFT_OUT = "Left out is all that is proved over BigQuery's wire"


@dataclass(frozen=True)
class Emulator:
    """A server at work."""

    url: str
    log: Path

    def statements(self) -> list[str]:
        """Every statement that came in, as it came."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["statement"] for line in lines]


@cache
def python() -> str | None:
    """Find a Python 3.13 that starts, on the PATH or among pyenv's."""
    found = [shutil.which("python3.13"), *sorted(Path.home().glob(".pyenv/versions/3.13*/bin/python3.13"))]
    for each in filter(None, found):
        # A shim of pyenv's is there whether or not there is anything behind it.
        if subprocess.run([str(each), "--version"], capture_output=True).returncode == 0:
            return str(each)
    return None


def needed() -> str:
    """Give the environment's Python; skip the test, saying what to do, where it cannot be made.

    It is made once in a clone: one worker makes it while the others wait, and what a killed one left is made anew.
    """
    base = python()
    if base is None:
        pytest.skip(f"{LEFT_OUT}: there is no Python 3.13. {REMEDY}")
    name = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = PROJECT_ROOT / ".pytest_cache" / f"emulator-{name}"
    folder.parent.mkdir(exist_ok=True)
    interpreter = folder / "bin" / "python"
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            # Those of other locks are not needed any more.
            for left in folder.parent.glob("emulator-*/"):
                shutil.rmtree(left, ignore_errors=True)
            try:
                _make(base, folder)
            except subprocess.CalledProcessError as error:
                shutil.rmtree(folder, ignore_errors=True)
                last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
                pytest.skip(f"{LEFT_OUT}: its packages cannot be installed ({last}).")
            (folder / "complete").touch()
    return str(interpreter)


def _make(base: str, folder: Path) -> None:
    interpreter = str(folder / "bin" / "python")
    install = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # DuckDB's extensions come as packages, so that nothing is fetched but from the index.
    bring = (
        "import sys; from duckdb_extensions import import_extension as b; [b(each) for each in sys.argv[1:]]"
    )
    _run([base, "-m", "venv", str(folder)])
    _run([*install, "--require-hashes", "--no-deps", "-r", str(LOCK)])
    # There DuckDB looks for them.
    with environment(HOME=str(folder)):
        _run([interpreter, "-c", bring, *EXTENSIONS])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    """Run a server over an empty folder."""
    interpreter, log = needed(), folder / "statements.jsonl"
    command = [interpreter, str(HERE / "shim.py"), "--folder", str(folder / "data"), "--project", PROJECT]
    home = str(Path(interpreter).parents[1])
    with (folder / "emulator.log").open("w") as complaints:
        with environment(HOME=home):
            process = subprocess.Popen(
                [*command, "--log", str(log)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                text=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            assert port, (folder / "emulator.log").read_text()
            yield Emulator(f"http://127.0.0.1:{port}", log)
        finally:
            process.terminate()
            process.wait()
            process.stdin.close()
            process.stdout.close()

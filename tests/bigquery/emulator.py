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

from pipelines.warehouse import PROJECT_ROOT

HERE = Path(__file__).parent
LOCK = HERE / "emulator.lock"
EXTENSIONS = ("icu", "spatial", "ducklake")
PROJECT = "emulated"
REMEDY = "install Python 3.13 (such as: pyenv install 3.13), so that python3.13 starts"


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
    """Give the environment's Python; skip the test, saying what to do, where there is none."""
    base = python()
    if base is None:
        pytest.skip(f"The emulator of BigQuery was left out, with all that it proves: {REMEDY}.")
    name = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = PROJECT_ROOT / ".pytest_cache" / f"emulator-{name}"
    folder.parent.mkdir(exist_ok=True)
    interpreter = folder / "bin" / "python"
    with FileLock(f"{folder}.lock"):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([base, "-m", "venv", str(folder)], check=True)
            install = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*install, "--require-hashes", "--no-deps", "-r", str(LOCK)], check=True)
            brought = "import sys; from duckdb_extensions import import_extension as b; [b(e) for e in sys.argv[1:]]"
            subprocess.run([str(interpreter), "-c", brought, *EXTENSIONS], check=True)
            (folder / "complete").touch()
    return str(interpreter)


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[Emulator]:
    """Run a server over an empty folder."""
    interpreter, log = needed(), folder / "statements.jsonl"
    command = [interpreter, str(HERE / "shim.py"), "--folder", str(folder / "data"), "--project", PROJECT]
    with (folder / "emulator.log").open("w") as complaints:
        process = subprocess.Popen(
            [*command, "--log", str(log)], stdout=subprocess.PIPE, stderr=complaints, text=True
        )
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            assert port, (folder / "emulator.log").read_text()
            yield Emulator(f"http://127.0.0.1:{port}", log)
        finally:
            process.terminate()
            process.wait()
            process.stdout.close()


__all__ = ["PROJECT", "REMEDY", "Emulator", "emulator", "needed", "python"]

"""What is made once for a whole run of tests, by whichever worker asks for it first."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

_folder: Path | None = None


def share_in(folder: Path) -> None:
    """Name the folder that all workers of this run know, and no other run."""
    global _folder
    _folder = folder


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Give the folder of that name, in which `make` has made what is shared; nobody may change it afterwards."""
    assert _folder, "a fixture of conftest.py names the folder before the first test"
    made = _folder / name
    with FileLock(_folder / f"{name}.lock"):
        if not made.exists():
            unfinished = _folder / f"{name}.unfinished"
            # Another worker may have failed in it; each of them is to say why.
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(made)
    return made

"""The environment is read in one module, and importing a module does nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pipelines.cli import cli
from pipelines.warehouse import PROJECT_ROOT

PACKAGE = PROJECT_ROOT / "pipelines"

_IMPORT_ALL = """
import os, pkgutil, sys

found = []

def blamed():
    # The frames between what happens and the nearest import: a module of ours among them did it itself.
    frame = sys._getframe(2)
    while frame and "importlib" not in frame.f_code.co_filename:
        if "/pipelines/" in frame.f_code.co_filename.replace(os.sep, "/") and "site-packages" not in frame.f_code.co_filename:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None

WATCHED = {"open", "os.mkdir", "os.putenv", "os.listdir", "os.scandir", "os.remove", "os.rename", "socket.connect",
           "socket.getaddrinfo", "subprocess.Popen", "sqlite3.connect", "tempfile.mkstemp", "tempfile.mkdtemp",
           "_thread.start_new_thread", "signal.signal"}

def watch(event, arguments):
    if event in WATCHED and (where := blamed()):
        found.append(f"{where} {event}")

class Watched(type(os.environ)):
    def __getitem__(self, key):
        # Whoever translates a message asks for the language.
        if key not in {b"LANGUAGE", b"LC_ALL", b"LC_MESSAGES", b"LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"} and (where := blamed()):
            found.append(f"{where} reads {key}")
        return super().__getitem__(key)

os.environ.__class__ = Watched
sys.addaudithook(watch)

import pipelines
for module in pkgutil.walk_packages(pipelines.__path__, "pipelines."):
    __import__(module.name)
print("\\n".join(found))
"""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_the_environment_is_read_in_one_module() -> None:
    reading = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Attribute) and ast.unparse(node) in {
                "os.environ",
                "os.getenv",
                "os.environb",
            }
            taken = (
                isinstance(node, ast.ImportFrom)
                and node.module == "os"
                and any(alias.name in {"environ", "getenv", "environb"} for alias in node.names)
            )
            if named or taken:
                reading.add(path.relative_to(PACKAGE).as_posix())
    assert reading <= {"warehouse.py"}


def test_importing_reads_no_environment_and_opens_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, cwd=PROJECT_ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
    assert done.stderr.strip() == ""


def test_every_module_says_what_it_is_for() -> None:
    missing = [
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert missing == []


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_and_option_has_help(name: str) -> None:
    command = cli.commands[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]}"
        else:
            assert parameter.human_readable_name in command.help, f"{name} {parameter.name}"

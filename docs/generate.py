"""Writes the generated blocks of README.md: the marts with every column, and the help of the commands.

python docs/generate.py            writes them
python docs/generate.py --check    ends with 1 if they are not up to date
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import yaml

from pipelines.cli import cli

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
MARTS = ROOT / "models" / "marts"
SIBLING = re.compile(r"published_\w+|(weekly|monthly)_(engagement|advanced_metrics|errors|funnel)")


def marts_table() -> str:
    """Make one table for each mart, from the contract in its YAML file; weekly and monthly follow daily, published internal."""
    blocks = []
    for path in sorted(MARTS.rglob("*.yml")):
        for model in yaml.safe_load(path.read_text(encoding="utf-8"))["models"]:
            if SIBLING.fullmatch(model["name"]):
                continue
            blocks.append(_mart(path, model))
    return "\n\n".join(blocks)


def _mart(path: Path, model: dict[str, Any]) -> str:
    subject = model["name"].removeprefix("daily_")
    siblings = [f"{grain}_{subject}" for grain in ("weekly", "monthly")]
    names = [model["name"], *(name for name in siblings if (path.parent / f"{name}.sql").exists())]
    rows = "\n".join(
        f"| {column['name']} | {_type(column['data_type'])} | {_prose(column['description'])} |"
        for column in model["columns"]
    )
    title = ", ".join(f"`{name}`" for name in names)
    return (
        f"**{title}**: {_prose(model['description'])}\n\n| column | type | meaning |\n|---|---|---|\n{rows}"
    )


def _type(data_type: str) -> str:
    """Show the DuckDB side of a type that differs between the warehouses."""
    by_target = re.search(r"else '([^']+)'", data_type)
    return (by_target[1] if by_target else data_type).replace(" ", "")


def _prose(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("|", "\\|")


def commands_help() -> str:
    """Give the help of `kpi` and of each of its commands, as the terminal shows it."""
    root = click.Context(cli, info_name="kpi", max_content_width=100, terminal_width=100)
    texts = [f"$ kpi --help\n{cli.get_help(root)}"]
    for name, command in _commands(cli):
        context = click.Context(
            command, info_name=name, parent=root, max_content_width=100, terminal_width=100
        )
        texts.append(f"$ kpi {name} --help\n{command.get_help(context)}")
    return "```text\n" + "\n\n".join(texts) + "\n```"


def _commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{above}{name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{above}{name} ")


def generated(text: str) -> str:
    """Replace what stands between the markers of each block."""
    for name, content in {"marts": marts_table(), "commands": commands_help()}.items():
        block = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if not block.search(text):
            raise SystemExit(f"README.md has no block '{name}'.")
        text = block.sub(lambda match, new=content: f"{match[1]}\n{new}\n\n{match[2]}", text)  # type: ignore[misc]
    return text


def main() -> None:
    """Write the blocks, or check them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 if a block is out of date"
    )
    arguments = parser.parse_args()
    old = README.read_text(encoding="utf-8")
    new = generated(old)
    if arguments.check:
        if old != new:
            sys.exit("README.md is out of date: run python docs/generate.py")
    else:
        README.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()

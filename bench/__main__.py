"""`python -m bench [NAME]`: each bench is a module of this package with a click command called `main`."""

import importlib
import pkgutil
from pathlib import Path

import click


def names() -> list[str]:
    """List the benches: every module here that does not start with an underscore."""
    return sorted(
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.name[0] != "_"
    )


class Benches(click.Group):
    """Finds each command in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of all benches."""
        return names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one bench."""
        if cmd_name not in names():
            return None
        command: click.Command = importlib.import_module(f"bench.{cmd_name}").main
        return command


@click.group(cls=Benches, invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Measure the project on this machine; without a name, everything."""
    if context.invoked_subcommand is None:
        for name in names():
            importlib.import_module(f"bench.{name}").main(args=[], standalone_mode=False)


if __name__ == "__main__":
    main()

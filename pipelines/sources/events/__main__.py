"""`python -m pipelines.sources.events`: one run of the source, without a build."""

from pipelines.cli import source_command

if __name__ == "__main__":
    source_command("events").main(prog_name="python -m pipelines.sources.events")

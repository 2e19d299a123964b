"""`python -m pipelines.sources.pushed`: one run of the source, without a build."""

from pipelines.cli import source_command

if __name__ == "__main__":
    source_command("pushed").main(prog_name="python -m pipelines.sources.pushed")

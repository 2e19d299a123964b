"""`python -m pipelines.sources.stripe`: one run of the source, without a build."""

from pipelines.cli import source_command

if __name__ == "__main__":
    source_command("stripe").main(prog_name="python -m pipelines.sources.stripe")

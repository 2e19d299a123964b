"""Measurements against stated yardsticks: `python -m bench` runs all, `python -m bench ingest` one."""

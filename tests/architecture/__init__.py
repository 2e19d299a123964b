"""Tests of how the project is built: dbt's manifests, the Python modules, the tracked files."""

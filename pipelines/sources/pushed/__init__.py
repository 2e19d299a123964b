"""Figures that people and other systems hand over, from the inbox into `raw_pushed.metric_values`.

They come by `kpi push FILE.csv` or over `kpi serve`. KPI_INBOX_PATH names the inbox (default: beside the warehouse).
"""

from pipelines.sources.pushed.loading import ensure_tables, is_configured, load, pushed

__all__ = ["ensure_tables", "is_configured", "load", "pushed"]

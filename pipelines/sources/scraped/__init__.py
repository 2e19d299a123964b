"""Figures that stand on web pages and in public APIs, into `raw_scraped.observations`."""

from pipelines.sources.scraped.loading import ensure_tables, is_configured, load, scraped

__all__ = ["ensure_tables", "is_configured", "load", "scraped"]

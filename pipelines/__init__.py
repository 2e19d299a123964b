"""Loads a company's events, invoices and public figures into raw tables, and carries figures to people."""

"""The proof that the project runs on BigQuery, without an account.

language, engine, values: Google's own SQL engine, which says whether a statement is valid and runs it. service, client: a
warehouse that it works for, behind the client library, so that dbt-bigquery builds in it and dlt loads into it. scene, billing,
builds, commands, parity: what is loaded, the same builds and commands on DuckDB and there, and what differs.

emulator, shim, mended: a server that speaks BigQuery's wire, in an environment of its own. wire: the same builds there, and
loads by dlt. sent: every statement that went over the wire, put to Google's engine.
"""

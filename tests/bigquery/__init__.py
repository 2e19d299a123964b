"""The proof that the project runs on BigQuery, without an account.

language, engine, values: Google's own SQL engine, which says whether a statement is valid and runs it. service, client: a
warehouse that it works for, behind the client library, so that dbt-bigquery builds in it and dlt loads into it. scene, billing,
builds, commands, parity: what is loaded, the same builds and commands on DuckDB and there, and what differs.
"""

"""`kpi privacy rotate`: another record key, by which figures of periods not released yet are rounded."""

from dataclasses import replace

from pipelines.errors import SettingError
from pipelines.privacy.identity import load_keys, make_key, write_keys_file
from pipelines.warehouse import Warehouse, secret


def rotate(warehouse: Warehouse) -> tuple[str, str]:
    """Put a new record key into the keys file; give the fingerprints of the old one and the new one.

    Raises SettingError where the keys are configured: then they are changed where they are kept.
    """
    if warehouse.target != "duckdb" or secret("kpi_record_key"):
        raise SettingError(
            "The keys of this warehouse are configured, not kept in a file beside it.",
            "Put another KPI_RECORD_KEY into your secret store: python -c 'import secrets; print(secrets.token_hex(32))'. "
            "The next load uses it; released periods keep what they have.",
        )
    old = load_keys(warehouse)
    new = replace(old, record_key=make_key())
    write_keys_file(warehouse.keys_file, new)
    return old.fingerprints()["record_key"], new.fingerprints()["record_key"]

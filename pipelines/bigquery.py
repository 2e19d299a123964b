"""What BigQuery needs beside what DuckDB does: credentials, how raw tables are laid out, merges that name a window.

Imported only where KPI_TARGET is bigquery. The loaders know nothing of it: the layout is added where dlt makes a table,
the window where it writes a merge. Settings: KPI_BIGQUERY_PROJECT, …_LOCATION, …_KEYFILE, …_IMPERSONATE, …_STAGING and
KPI_RAW_RETENTION_DAYS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.common.configuration.specs.gcp_credentials import GcpDefaultCredentials
from dlt.common.destination import PreparedTableSchema
from dlt.common.destination.client import FollowupJobRequest
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient
from dlt.destinations.impl.bigquery.bigquery_adapter import (
    CLUSTER_COLUMNS_HINT,
    PARTITION_EXPIRATION_DAYS_HINT,
    PARTITION_HINT,
)

from pipelines.errors import SettingError
from pipelines.warehouse import Warehouse, setting

DAY = "DATE({column_name})"
MONTH = "TIMESTAMP_TRUNC({column_name}, MONTH)"
RAW_RETENTION_DAYS = 400
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


@dataclass(frozen=True)
class Layout:
    """How BigQuery stores a raw table."""

    partition: str | None = None
    """Column of the partitions. It never changes for a key, so that merges may name a window of it."""
    grain: str = MONTH
    cluster: tuple[str, ...] = ()
    expires: bool = False
    """Whether its partitions go when the retention of raw rows has passed."""


def _made(*cluster: str) -> Layout:
    return Layout("created_at", cluster=cluster or ("id",))


def _owned(owner: str) -> Layout:
    return Layout(cluster=(owner,))


LAYOUTS = {
    "events": {
        # The days that changed are read by date, and a new load by its id. What else is stored says what was loaded.
        "events": Layout("occurred_at", DAY, ("_dlt_load_id", "event_key"), expires=True),
        "quarantine": Layout("loaded_at", cluster=("reason", "_dlt_load_id")),
    },
    "stripe": {
        "invoices": _made(),
        "invoice_payments": _made(),
        "credit_notes": _made(),
        "refunds": _made(),
        "balance_transactions": _made(),
        "customers": _made(),
        "subscriptions": _made(),
        "subscription_versions": _made("subscription_id", "id"),
        "products": _made(),
        "prices": _made(),
        "coupons": _made(),
        "events": _made(),
        "invoice_lines": _owned("invoice_id"),
        "credit_note_refunds": _owned("credit_note_id"),
        "subscription_items": _owned("subscription_id"),
        "subscription_discounts": _owned("subscription_id"),
        "subscription_version_items": _owned("version_id"),
        "subscription_version_discounts": _owned("version_id"),
        "price_tiers": _owned("price_id"),
        "price_currency_options": _owned("price_id"),
        "coupon_products": _owned("coupon_id"),
        "coupon_currency_options": _owned("coupon_id"),
        "windows": _owned("resource"),
        "differences": _owned("object_id"),
    },
    "scraped": {"observations": Layout("observed_at", cluster=("metric_key",))},
    "pushed": {
        "metric_values": Layout("measured_at", cluster=("metric_key",)),
        "quarantine": _owned("source_file"),
    },
}
"""The layout of each raw table by source; a table that is not here has some rows a load, and none."""


def project() -> str:
    """Read the project. Raises SettingError where it is not set."""
    name = setting("kpi_bigquery_project")
    if name is None:
        raise SettingError(
            "KPI_BIGQUERY_PROJECT is not set, and KPI_TARGET is bigquery.",
            "Set it to the id of the Google Cloud project that holds the warehouse.",
        )
    return name


def location() -> str:
    """Read where the datasets are."""
    return setting("kpi_bigquery_location", "EU") or "EU"


def raw_retention_days() -> int | None:
    """Read after how many days an event leaves its raw table; None for never. Raises SettingError for no number."""
    text = setting("kpi_raw_retention_days", str(RAW_RETENTION_DAYS)) or ""
    if not text.isdecimal():
        raise SettingError(
            f"KPI_RAW_RETENTION_DAYS is '{text}', which is no number of days.",
            f"Leave it out ({RAW_RETENTION_DAYS}), or set 0 to keep raw events for ever.",
        )
    return int(text) or None


CLOSED_SCHEMAS = (
    *("raw_events", "raw_stripe", "raw_scraped", "raw_pushed"),
    *("staging", "intermediate", "seeds", "kpi_internal"),
)
"""Schemas that readers of published figures may not see."""
EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers", "specialGroup:allAuthenticatedUsers"})
_PREFIXES = {
    "userByEmail": "user:",
    "groupByEmail": "group:",
    "domain": "domain:",
    "specialGroup": "specialGroup:",
}


def readers(name: str) -> frozenset[str]:
    """Read who is granted a schema, as dbt_project.yml does: names with a space between them; nobody is none."""
    return frozenset((setting(name) or "").split()) - {"nobody"}


def grantees(warehouse: Warehouse, schema: str) -> list[str]:
    """Name who has a right on a whole dataset, in the form of a grant; nobody where it is not there."""
    from google.api_core.exceptions import NotFound

    with warehouse.pipeline("queries").sql_client() as client:
        try:
            dataset = client.native_connection.get_dataset(f"{project()}.{schema}")
        except NotFound:
            return []
        return [
            f"{_PREFIXES.get(entry.entity_type, '')}{entry.entity_id}"
            for entry in dataset.access_entries
            if entry.entity_id and isinstance(entry.entity_id, str)
        ]


def staging() -> Any:
    """Make the folder in Cloud Storage that loads pass through; None where none is set."""
    url = setting("kpi_bigquery_staging")
    if url is None:
        return None
    if not url.startswith("gs://"):
        raise SettingError(
            f"KPI_BIGQUERY_STAGING is '{url}'.", "Set it to a folder in Cloud Storage: gs://bucket/folder."
        )
    return dlt.destinations.filesystem(url, **_given_credentials())


def destination() -> Any:
    """Make the dlt destination. Raises SettingError where the project is missing or a key cannot be used."""
    return LaidOutBigQuery(
        location=location(), project_id=project(), destination_name="bigquery", **_given_credentials()
    )


def _given_credentials() -> dict[str, Any]:
    """Give what a key file or an impersonation stand for; else dlt finds the application default credentials."""
    key_file, principal = setting("kpi_bigquery_keyfile"), setting("kpi_bigquery_impersonate")
    if key_file is None and principal is None:
        return {}
    native = _native_credentials(key_file, principal)
    credentials = GcpServiceAccountCredentials()
    credentials.project_id = project()
    # The class's own reading takes a key alone; this one takes whatever Google's library makes.
    GcpDefaultCredentials.parse_native_representation(credentials, native)
    return {"credentials": credentials}


def _native_credentials(key_file: str | None, principal: str | None) -> Any:
    import google.auth
    from google.auth import exceptions, impersonated_credentials
    from google.oauth2 import service_account

    try:
        if key_file is None:
            native, _ = google.auth.default(scopes=SCOPES)
        else:
            native = service_account.Credentials.from_service_account_file(key_file, scopes=SCOPES)  # type: ignore[no-untyped-call]
    except (OSError, ValueError):
        raise SettingError(
            f"KPI_BIGQUERY_KEYFILE is '{key_file}', which is no key of a service account.",
            "Name the JSON file of a key, or leave it out to use the application default credentials.",
        ) from None
    except exceptions.DefaultCredentialsError:
        raise SettingError(
            "There are no application default credentials of Google Cloud.",
            "Run: gcloud auth application-default login, or set KPI_BIGQUERY_KEYFILE.",
        ) from None
    if principal is None:
        return native
    return impersonated_credentials.Credentials(native, principal, list(SCOPES))  # type: ignore[no-untyped-call]


class LaidOutClient(BigQueryClient):
    """dlt's client of BigQuery, with the layout of our raw tables."""

    def prepare_load_table(self, table_name: str) -> PreparedTableSchema:
        """Add the layout to what dlt knows of a table."""
        table: Any = super().prepare_load_table(table_name)
        layout = LAYOUTS.get(self.schema.name, {}).get(table_name)
        if layout:
            table[CLUSTER_COLUMNS_HINT] = list(layout.cluster)
            if layout.partition:
                table[PARTITION_HINT] = {layout.partition: layout.grain}
            days = raw_retention_days() if layout.expires else None
            if days:
                table[PARTITION_EXPIRATION_DAYS_HINT] = days
        return table  # type: ignore[no-any-return]

    def _create_merge_followup_jobs(
        self, table_chain: Sequence[PreparedTableSchema]
    ) -> list[FollowupJobRequest]:
        """Let a merge name the partitions that it touches: a key alone would make it read the whole table."""
        root: Any = table_chain[0]
        layout = LAYOUTS.get(self.schema.name, {}).get(root["name"])
        if layout and layout.partition:
            root["x-merge-destination-scope"] = self._scope(root, layout.partition)
        return list(super()._create_merge_followup_jobs(table_chain))

    def _scope(self, root: Any, partition: str) -> str:
        """Say which stored rows a merge replaces: those with a key that comes, in the window of what comes."""
        name = self.sql_client.escape_column_name
        with self.sql_client as client:
            [(first, last)] = client.execute_sql(
                f"SELECT MIN({name(partition)}), MAX({name(partition)}) FROM {self._staged(root['name'])}"  # noqa: S608 - names of ours
            ) or [(None, None)]
        if first is None:
            return "FALSE"
        keys = [column for column, form in root["columns"].items() if form.get("primary_key")]
        stored = self.sql_client.make_qualified_table_name_path(root["name"])[-1]
        same = " AND ".join(f"staged.{name(key)} = {stored}.{name(key)}" for key in keys)
        window = f"BETWEEN TIMESTAMP '{first.isoformat()}' AND TIMESTAMP '{last.isoformat()}'"
        return (
            f"{name(partition)} {window} AND EXISTS (SELECT 1 FROM {self._staged(root['name'])} AS staged"  # noqa: S608 - names of ours
            f" WHERE {same})"
        )

    def _staged(self, table_name: str) -> str:
        return str(self.sql_client.get_qualified_table_names(table_name)[1])


class LaidOutBigQuery(dlt.destinations.bigquery):
    """dlt's destination, with our client."""

    @property
    def client_class(self) -> type[BigQueryClient]:
        """The client that loads are made with."""
        return LaidOutClient

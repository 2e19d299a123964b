"""What BigQuery needs beside what DuckDB does: credentials, how raw tables are laid out, merges that name a window.

Imported only where KPI_TARGET is bigquery. The loaders know nothing of it: the layout is added where dlt makes a table,
the window where it writes a merge. Settings: KPI_BIGQUERY_PROJECT, …_LOCATION, …_KEYFILE, …_IMPERSONATE, …_STAGING and
KPI_RAW_RETENTION_DAYS; those that dbt alone reads are checked here.
"""

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.common.configuration.specs.gcp_credentials import GcpDefaultCredentials
from dlt.common.destination import PreparedTableSchema
from dlt.common.destination.client import FollowupJobRequest
from dlt.destinations.exceptions import (
    DatabaseException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient
from dlt.destinations.impl.bigquery.bigquery_adapter import (
    CLUSTER_COLUMNS_HINT,
    PARTITION_EXPIRATION_DAYS_HINT,
    PARTITION_HINT,
)

from pipelines.errors import KpiError, SettingError, causes
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
    if not re.fullmatch(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]+", name):
        raise SettingError(
            f"KPI_BIGQUERY_PROJECT is '{name}', which is no id of a project.",
            "Set it to the id, such as my-project-1234: neither the project's name nor its number.",
        )
    return name


def location() -> str:
    """Read where the datasets are."""
    return setting("kpi_bigquery_location", "EU") or "EU"


_NUMBERS = {
    "KPI_RAW_RETENTION_DAYS": f"Leave it out ({RAW_RETENTION_DAYS}), or set 0 to keep raw events for ever.",
    "KPI_MARTS_RETENTION_DAYS": "Leave it out (marts are kept), or set a number of days.",
    "KPI_BIGQUERY_MAXIMUM_BYTES_BILLED": "Leave it out (no limit), or set a number of bytes.",
    "KPI_BIGQUERY_JOB_SECONDS": "Leave it out (900), or set a number of seconds.",
    "KPI_BIGQUERY_JOB_RETRIES": "Leave it out (3), or set a number of attempts.",
    "KPI_THREADS": "Leave it out (8), or set how many statements may run at once.",
}
"""Settings that are whole numbers, and what to do about one that is none."""
_READER = re.compile(r"(user|group|serviceAccount|domain|specialGroup|principal|principalSet):\S+")


def check_settings() -> None:
    """Raise SettingError for a setting that cannot be used, those of dbt included: it would take a text for the number 0."""
    project()
    for name in _NUMBERS:
        _number(name)
    for name in ("KPI_INTERNAL_READERS", "KPI_PUBLISHED_READERS"):
        for reader in sorted(readers(name.lower())):
            if not _READER.fullmatch(reader):
                raise SettingError(
                    f"{name} names '{reader}'.",
                    "Say of each reader what it is: user:a@example.com, group:b@example.com, with a space between them.",
                )


def _number(name: str) -> int | None:
    text = setting(name.lower())
    if text is not None and not re.fullmatch(r"[0-9]{1,18}", text):
        raise SettingError(f"{name} is '{text}', which is no whole number.", _NUMBERS[name])
    return None if text is None else int(text)


def raw_retention_days() -> int | None:
    """Read after how many days an event leaves its raw table; None for never. Raises SettingError for no number."""
    days = _number("KPI_RAW_RETENTION_DAYS")
    return (RAW_RETENTION_DAYS if days is None else days) or None


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
    """Make the dlt destination. Raises SettingError where a setting, or a key, is missing or cannot be used."""
    check_settings()
    # Rows come without that client, and the project from our settings.
    warnings.filterwarnings("ignore", message="Cannot create BigQuery Storage client")
    logging.getLogger("google.auth._default").setLevel(logging.ERROR)
    return LaidOutBigQuery(
        location=location(), project_id=project(), destination_name="bigquery", **_given_credentials()
    )


def _given_credentials() -> dict[str, Any]:
    """Give what a key file or an impersonation stand for; else dlt finds the application default credentials."""
    key_file, principal = setting("kpi_bigquery_keyfile"), setting("kpi_bigquery_impersonate")
    native = _native_credentials(key_file, principal)
    if key_file is None and principal is None:
        return {}
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


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn what BigQuery refuses, or that it does not answer, into KpiError; that a table is not there stays what it is."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except DatabaseUndefinedRelation:
        raise
    except (
        DatabaseException,
        DestinationConnectionError,
        GoogleAPIError,
        GoogleAuthError,
        RequestException,
    ) as error:
        # What Google says may quote a statement: of it the code and the reason are shown.
        chain = [each for cause in causes(error) for each in (cause, *cause.args)]
        code = next((each.code for each in chain if getattr(each, "code", None)), None)
        reasons = [
            str(detail.get("reason"))
            for each in chain
            for detail in getattr(each, "errors", None) or []
            if isinstance(detail, dict)
        ]
        said = " ".join([*([str(int(code))] if code else []), *reasons[:1]]) or type(error).__name__
        raise KpiError(
            f"BigQuery refused, or did not answer: {said}.",
            f"Check KPI_BIGQUERY_PROJECT ('{project()}'), KPI_BIGQUERY_LOCATION ('{location()}'), the credentials and the roles "
            "of their account: see docs/bigquery.md, or run kpi doctor.",
        ) from error


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

"""Stripe into `raw_stripe`: what was sold, billed, paid, credited and given back, and the history of subscriptions.

The first run reads every list that the key may read, in parallel; the next ones ask what changed since.
Settings: SOURCES__STRIPE__API_KEY (secret); SOURCES__STRIPE__REQUESTS_PER_SECOND (default 25);
SOURCES__STRIPE__BASE_URL and SOURCES__STRIPE__API_VERSION (both optional).
"""

import datetime as dt
import re
import time
from collections.abc import Callable

from pipelines.errors import SettingError
from pipelines.sources.load import LoadReport, Progress, held_for_queries, query, run_pipeline
from pipelines.sources.stripe.batches import Mode
from pipelines.sources.stripe.budget import Budget
from pipelines.sources.stripe.client import API_BASE, API_VERSION, REQUESTS_A_SECOND, StripeApi
from pipelines.sources.stripe.reading import Reader
from pipelines.sources.stripe.resources import RESOURCES as LISTS
from pipelines.sources.stripe.store import Store, Tally, are_tables_made, empty_source
from pipelines.sources.stripe.sync import Sync
from pipelines.warehouse import Warehouse, secret, setting

# What a key says of its mode by its form.
_MODE = re.compile(r"[a-z]+_(live|test)_")


def is_configured() -> bool:
    """Whether anything is set for Stripe."""
    return secret("sources.stripe.api_key") is not None or setting("sources.stripe.base_url") is not None


def connect(
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> StripeApi:
    """Make the client from the settings; SettingError without a key or with one that cannot be sent."""
    key = secret("sources.stripe.api_key")
    if key is None:
        raise SettingError(
            "SOURCES__STRIPE__API_KEY is not set.",
            "Set it, or api_key under [sources.stripe] in .dlt/secrets.toml; a restricted key that may read "
            "invoices is enough.",
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise SettingError(
            "SOURCES__STRIPE__API_KEY holds characters that no key has.",
            "Copy it again, without quotes and blanks.",
        )
    base_url = setting("sources.stripe.base_url", API_BASE) or API_BASE
    if not re.match(r"https?://[^/\s]+", base_url):
        raise SettingError(
            "SOURCES__STRIPE__BASE_URL is no address.", f"Leave it out for Stripe itself ({API_BASE})."
        )
    return StripeApi(
        key,
        base_url=base_url,
        api_version=setting("sources.stripe.api_version", API_VERSION) or API_VERSION,
        sleep=sleep,
        clock=clock,
        budget=Budget(_requests_per_second()),
    )


def _requests_per_second() -> float:
    text = setting("sources.stripe.requests_per_second", str(REQUESTS_A_SECOND)) or ""
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", text) or float(text) <= 0:
        raise SettingError(
            f"SOURCES__STRIPE__REQUESTS_PER_SECOND is '{text}', which is no number above 0.",
            f"Leave it out ({REQUESTS_A_SECOND}); Stripe allows 100 a second in live mode and 25 in test mode.",
        )
    return float(text)


def load(
    warehouse: Warehouse, progress: Progress, api: StripeApi | None = None, *, sweep: bool = False
) -> LoadReport:
    """Bring the raw tables to what the key may read of the account; `sweep` compares all of it.

    Raises KpiError for a wrong key, an unreachable Stripe, or a key of the other mode.
    """
    api = api or connect()
    tally = Tally(progress)
    store = Store(warehouse, warehouse.pipeline("stripe"), tally, api.clock)
    # What a killed run left behind is stored first: it fixes the mode too.
    store.finish()
    sync = Sync(Reader(api, _mode(warehouse, api.api_key)), store)
    sync.run(sweep=sweep)
    report = LoadReport("stripe", rows=tally.rows, notes=sync.notes() + tally.faults())
    if sync.unavailable >= LISTS.keys():
        report.failures.append(
            "stripe: the key may read none of "
            + ", ".join(LISTS)
            + ". Give it leave to read invoices at least."
        )
    return report


def ensure_tables(warehouse: Warehouse) -> None:
    """Make every raw table that is not there yet, without a key and without asking Stripe."""
    pipeline = warehouse.pipeline("stripe")
    if not are_tables_made(warehouse, pipeline):
        run_pipeline(warehouse, pipeline, empty_source())


def _mode(warehouse: Warehouse, api_key: str) -> Mode:
    """The mode of what is stored, or else of the key."""
    with held_for_queries(warehouse):
        for name in LISTS:
            for row in query(warehouse, f"select livemode from {_raw(warehouse, name)} limit 1"):  # noqa: S608
                return Mode(bool(row["livemode"]))
    said = _MODE.match(api_key)
    return Mode(said[1] == "live" if said else None)


def _raw(warehouse: Warehouse, table: str) -> str:
    return f"{warehouse.dataset('stripe')}.{table}"

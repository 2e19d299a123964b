"""`kpi forget`: one user leaves the warehouse, from raw to intermediate, and does not come back.

What is kept is that somebody was erased and when: a keyed hash of the pseudonym, by which later loads know the
user's lines and leave them out. It leads from nothing else stored to anybody.
"""

import datetime as dt
import shutil
from dataclasses import dataclass

from pipelines.errors import KpiError, SettingError
from pipelines.privacy.identity import canonical_text, check_fingerprints, load_keys
from pipelines.sources import events
from pipelines.sources.events.reading import ERASED
from pipelines.sources.load import Progress, finish_pending, query, run_pipeline
from pipelines.warehouse import Warehouse


@dataclass(frozen=True)
class Forgotten:
    """What was done for one user."""

    lines: int
    """Lines of events that were deleted."""
    was_known: bool
    """Whether the user had been erased before."""


def forget(warehouse: Warehouse, user_id: str, progress: Progress) -> Forgotten:
    """Delete every event of a user and remember not to load them again. Intermediate tables follow with the next build.

    Raises SettingError for a blank id, KpiError where the keys are not those of the stored events.
    """
    canonical_id = canonical_text(user_id)
    if canonical_id is None:
        raise SettingError("The id is blank.", "Give the id as the event files have it.")
    keys = load_keys(warehouse)
    schema = warehouse.dataset("events")
    stored = query(warehouse, f"select user_key from {schema}.key_fingerprints limit 1")  # noqa: S608 - a name of ours
    if not stored:
        raise KpiError("No events have been loaded yet.", "There is nobody to forget. Load first: kpi ingest")
    for row in stored:
        check_fingerprints(keys, row)
    pipeline = warehouse.pipeline("events")
    progress("Finishing what an earlier load left behind")
    finish_pending(warehouse, pipeline)
    shutil.rmtree(warehouse.state_folder / "events_spool", ignore_errors=True)
    if not _has_erasures(warehouse, schema):
        run_pipeline(warehouse, pipeline, events.no_events())
    user_key = keys.user_pseudonym(canonical_id)
    erasure_id = keys.erasure_id(user_key)
    was_known = erasure_id in events.erasures(warehouse)
    counted = query(warehouse, f"select count(*) as lines from {schema}.events where user_key = %s", user_key)  # noqa: S608 - a name of ours
    progress("Deleting the user's events")
    with warehouse.writer() as execute:
        # Wherever this is killed, the same command goes on: first it is remembered, then deleted.
        if not was_known:
            execute(_REMEMBER.format(schema=schema), erasure_id, now := dt.datetime.now(dt.UTC), now)
        execute(_KEEP_THE_PLACES.format(schema=schema), ERASED, user_key, ERASED)
        execute(_DELETE_CONFLICTS.format(schema=schema), user_key)
        execute(_DELETE_EVENTS.format(schema=schema), user_key)
    return Forgotten(sum(row["lines"] for row in counted), was_known)


def _has_erasures(warehouse: Warehouse, schema: str) -> bool:
    return bool(query(warehouse, f"select count(*) as known from {schema}.erasures"))  # noqa: S608 - a name of ours


_REMEMBER = (
    "insert into {schema}.erasures (erasure_id, erased_at, loaded_at, _dlt_load_id) "
    "select %s, %s, %s, max(load_id) from {schema}._dlt_loads"
)
# Every line that was read keeps a fate, this one without anything of what it said.
_KEEP_THE_PLACES = (
    "insert into {schema}.quarantine (source_file, line_number, reason, line_hash, loaded_at, _dlt_load_id) "
    "select gone.source_file, gone.line_number, %s, '', gone.loaded_at, gone._dlt_load_id "
    "from {schema}.events as gone where gone.user_key = %s and not exists ("
    "select 1 from {schema}.quarantine as kept where kept.reason = %s "
    "and kept.source_file = gone.source_file and kept.line_number = gone.line_number "
    "and kept._dlt_load_id = gone._dlt_load_id)"
)
_DELETE_CONFLICTS = (
    "delete from {schema}.quarantine where reason = 'conflict' and event_id in ("
    "select event_id from {schema}.events where user_key = %s)"
)
_DELETE_EVENTS = "delete from {schema}.events where user_key = %s"

"""What the attacker accepts, and what it never lets through."""

import csv
import dataclasses
import datetime as dt
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import privacy_support as support
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from privacy_support import K, Publication, Sizes

from pipelines.errors import KpiError
from pipelines.privacy import solver
from pipelines.privacy.audit import AuditReport, audit
from pipelines.privacy.facts import counts_behind, facts_of
from pipelines.privacy.floors import is_floored
from pipelines.privacy.leaves import LeafKey, Parameters
from pipelines.privacy.ledger import LEDGER_COLUMNS, Ledger
from pipelines.privacy.solver import Constraint, System
from pipelines.privacy.ties import nests_of

SIZES = st.builds(
    Sizes,
    users=st.sampled_from([1, 3, 12, 25, 60, 150]),
    activity=st.sampled_from([0.1, 0.4, 0.9]),
    attempts=st.sampled_from([1, 2, 6, 30]),
    failing=st.sampled_from([0.0, 0.3, 0.9]),
    days=st.sampled_from([3, 8, 15]),
    kinds=st.sampled_from([1, 2, 7]),
)
FEW = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


def attacked(*folders: Path) -> AuditReport:
    return audit(folders, lambda line: None)


def problems(report: AuditReport) -> str:
    return "\n".join(str(finding) for finding in report.findings)


def key(family: str, cell: str, day: dt.date, grain: str = "day") -> LeafKey:
    return LeafKey(family, grain, day, cell)


@given(seed=st.integers(0, 10**6), sizes=SIZES)
@FEW
def test_the_true_data_are_possible_and_an_honest_export_passes(
    tmp_path_factory: pytest.TempPathFactory, seed: int, sizes: Sizes
) -> None:
    publication = Publication.honest(seed, sizes)
    ledger = Ledger.of(
        dict(zip(LEDGER_COLUMNS, row, strict=True)) for row in support.ledger_rows(publication.shown)
    )
    parameters = {"p1": Parameters.of(support.PARAMETERS)}
    truth = {
        leaf: publication.truth[leaf].units if leaf in publication.truth else 0 for leaf in ledger.releases
    }
    for leaf, count in truth.items():
        low, high = counts_behind(ledger, leaf, parameters["p1"])
        assert low <= count <= high, leaf
    assert [constraint for constraint in facts_of(ledger, parameters) if not constraint.holds(truth)] == []
    ties = [tie for nest in nests_of(ledger) for tie in nest.ties]
    assert [tie for tie in ties if not tie.holds(truth)] == []
    report = attacked(publication.write(tmp_path_factory.mktemp("exports")))
    assert problems(report) == ""
    assert report.leaves == len(truth)
    assert report.numbers > 0


def test_numbers_made_from_true_counts_leave_the_truth_possible(tmp_path: Path) -> None:
    """What a broken publisher prints narrows the truth down, but never excludes it."""
    publication = Publication.honest(4, Sizes(users=60, days=10))
    day = dt.date(2026, 1, 5)
    users = [leaf for leaf in publication.shown if leaf.family == "engagement_users" and leaf.start == day]
    users = [leaf for leaf in users if leaf.grain == "day"]
    true = {leaf: publication.truth[leaf].units if leaf in publication.truth else 0 for leaf in users}
    domains = dict.fromkeys(users, (0, 200))
    [component] = System(
        domains, [Constraint(dict.fromkeys(users, 1), sum(true.values()), sum(true.values()))]
    ).components()
    for leaf in users:
        assert true[leaf] in component.values({leaf: 1}, 500)


def exact_total(publication: Publication) -> None:
    """The exact total beside its parts."""
    for row in publication.rows["daily_engagement"]:
        row["active_users"] = sum(
            publication.truth[leaf].units if leaf in publication.truth else 0
            for leaf in publication.shown
            if leaf.family == "engagement_users"
            and leaf.grain == "day"
            and leaf.start == row["period_start_date"]
            and leaf.cell != "base"
        )


def week_measured_again(publication: Publication) -> None:
    """A week's tests measured, where they are the sum of its days."""
    weeks = {leaf.start for leaf in publication.shown if leaf.grain == "week"}
    for week in weeks:
        for cell in ("success", "error"):
            leaf = support.Leaf()
            for day in range(7):
                part = publication.truth.get(
                    key("tests", cell, week + dt.timedelta(days=day)), support.Leaf()
                )
                leaf.units += part.units
                leaf.users |= part.users
            publication.shown[key("tests", cell, week, "week")] = support.protected_events(leaf)
    columns = publication.marts["weekly_engagement"]
    columns["all_tests"] = ("int64", "cells('tests', 'success', 'error')")
    publication.compute()


def week_from_true_counts(publication: Publication) -> None:
    """The same, in the mart alone."""
    for row in publication.rows["weekly_engagement"]:
        week = row["period_start_date"]
        true = sum(
            publication.truth.get(key("tests", cell, week + dt.timedelta(days=day)), support.Leaf()).units
            for day in range(7)
            for cell in ("success", "error")
        )
        row["all_tests"] = true - true % 5


def rate_from_raw_counts(publication: Publication) -> None:
    """A rate to all its digits from true counts beside rounded ones."""
    for row in publication.rows["daily_engagement"]:
        day = row["period_start_date"]
        users = sum(
            publication.truth.get(key("engagement_users", cell, day), support.Leaf()).units
            for cell in ("new_success", "new_other", "returning_success", "returning_other")
        )
        tests = publication.truth.get(key("tests", "success", day), support.Leaf()).units
        row["avg_tests_per_active_user"] = tests / users if users else None


def reason_in_the_ledger(publication: Publication) -> None:
    """A withheld cell says whether there was nothing or too little."""
    for leaf, value in publication.shown.items():
        if value is None and leaf not in publication.truth:
            publication.shown[leaf] = 0


def reason_in_a_column(publication: Publication) -> None:
    """The same in a column of its own."""
    publication.marts["daily_engagement"]["withheld_because"] = ("string", "")
    for row in publication.rows["daily_engagement"]:
        row["withheld_because"] = "too few users"


def reason_as_a_date(publication: Publication) -> None:
    """The same, under a name that says it is harmless."""
    publication.marts["daily_engagement"]["withheld_because"] = ("string", "calendar()")
    for row in publication.rows["daily_engagement"]:
        row["withheld_because"] = "too few users"


def threshold_on_events(publication: Publication) -> None:
    """Figures shown for many events of few users."""
    for leaf in publication.shown:
        true = publication.truth.get(leaf, support.Leaf())
        if leaf.family in {"tests", "sessions", "errors"}:
            publication.shown[leaf] = support.rounded(true) if true.units >= K else None
    publication.compute()


def threshold_on_events_of_sessions(publication: Publication) -> None:
    """The same for sessions alone, which no rule ties to the users of the day."""
    for leaf in publication.shown:
        true = publication.truth.get(leaf, support.Leaf())
        if leaf.family == "sessions":
            publication.shown[leaf] = support.rounded(true) if true.units >= K else None
    publication.compute()


def withheld_beside_users(publication: Publication) -> None:
    """Tests withheld by their own count of users beside users shown as 10, which proves 1 to 9."""
    for leaf in publication.shown:
        true = publication.truth.get(leaf, support.Leaf())
        if leaf.family == "tests" and len(true.users) < K:
            publication.shown[leaf] = None
    publication.compute()


def weeks_below_their_days(publication: Publication) -> None:
    """Weeks and months as they were drawn, though their days narrow them down."""
    for leaf in publication.shown:
        if is_floored(leaf):
            publication.shown |= support.drawn(publication.truth, [leaf], 0)
    publication.compute()


def exact_leaves(publication: Publication) -> None:
    """No rounding at all above the threshold."""
    for leaf in publication.shown:
        true = publication.truth.get(leaf, support.Leaf())
        if leaf.family == "accounts" and true.units >= K:
            publication.shown[leaf] = true.units
    publication.compute()


def base_of_one(publication: Publication) -> None:
    """The parameters themselves promise nothing."""
    publication.parameters[0]["base"] = 1
    publication.compute()


def gini_from_raw(publication: Publication) -> None:
    """A column whose numbers do not come from the ledger, though no sum explains them."""
    for row in publication.rows["daily_advanced_metrics"]:
        row["error_gini_coefficient"] = 0.4321


def cells_left_out(publication: Publication) -> None:
    """A cell that is missing says something by being so."""
    publication.shown = {
        leaf: value
        for leaf, value in publication.shown.items()
        if not (leaf.family == "sessions" and value is None)
    }
    publication.compute()


def long_row(publication: Publication, **found: object) -> dict[str, Any]:
    return next(
        row for row in publication.long_rows if all(row[name] == value for name, value in found.items())
    )


def count_in_the_long_table(publication: Publication) -> None:
    """The true count of a week, where the mart has the published one."""
    row = long_row(publication, metric_key="accounts_created", grain="week")
    row["value"] = row["value"] + 1


def numerator_in_the_long_table(publication: Publication) -> None:
    """A ratio as published, made from something else."""
    row = long_row(publication, metric_key="active_percentage", grain="day", state="final")
    row["numerator"] = row["numerator"] - 1


def reason_in_a_state(publication: Publication) -> None:
    """A withheld figure says whether there was nothing or too little."""
    for row in publication.long_rows:
        if row["metric_key"] == "total_errors" and row["state"] == "withheld":
            row["state"] = "missing"


def withheld_left_out(publication: Publication) -> None:
    """A figure that is withheld has no row."""
    publication.long_rows = [row for row in publication.long_rows if row["state"] != "withheld"]


def unreleased_in_the_long_table(publication: Publication) -> None:
    """A period before its release."""
    row = long_row(publication, metric_key="active_users", grain="day")
    day = publication.report_date
    publication.long_rows.append(row | {"period_start_date": day, "period_end_date": day})


def internal_metric_in_the_long_table(publication: Publication) -> None:
    """A figure that no mart has, and that nobody declared to be public."""
    row = long_row(publication, metric_key="active_users", grain="day")
    publication.long_rows.append(row | {"metric_key": "paid_amount", "value": 1234.0})


def declared_public_though_a_mart_has_it(publication: Publication) -> None:
    """The declaration does not reach what is protected."""
    publication.public = ("active_users",)
    row = long_row(publication, metric_key="active_users", grain="day")
    row["value"] = row["value"] + 1


SMALL = Sizes(users=12, activity=0.3, attempts=12, failing=0.4, days=20)
TINY = Sizes(users=3, activity=0.6, attempts=40, failing=0.4, days=90)
LARGE = Sizes(users=150, activity=0.5, attempts=4, days=24)
FAITHFUL = Sizes(users=18, activity=0.95, attempts=6, failing=0.1, days=31)


@pytest.mark.parametrize(
    ("broken", "sizes", "said"),
    [
        (exact_total, LARGE, "column active_users: "),
        (exact_total, SMALL, "possible value"),
        (week_measured_again, LARGE, "measured a second time"),
        (week_from_true_counts, LARGE, "column all_tests: "),
        (rate_from_raw_counts, LARGE, "column avg_tests_per_active_user: "),
        (rate_from_raw_counts, LARGE, "possible value"),
        (reason_in_the_ledger, SMALL, "is no protected figure"),
        (reason_in_a_column, SMALL, "does not explain this column"),
        (reason_as_a_date, SMALL, "the calendar has no such column"),
        (threshold_on_events, SMALL, "the threshold is not one on users"),
        (threshold_on_events_of_sessions, TINY, "the threshold is not one on users"),
        (withheld_beside_users, SMALL, "between 1 and the threshold is proven"),
        (weeks_below_their_days, FAITHFUL, "and the periods within it)"),
        (exact_leaves, LARGE, "is no protected figure"),
        (base_of_one, LARGE, "possible value"),
        (gini_from_raw, LARGE, "column error_gini_coefficient: "),
        (cells_left_out, SMALL, "cells are left out"),
        (count_in_the_long_table, LARGE, "metric_data.csv, row"),
        (numerator_in_the_long_table, LARGE, "column numerator: active_percentage: "),
        (reason_in_a_state, SMALL, "says something else than the figures do ('withheld')"),
        (withheld_left_out, SMALL, "rows that were released"),
        (unreleased_in_the_long_table, LARGE, "was not released"),
        (internal_metric_in_the_long_table, LARGE, "paid_amount: no mart has this metric"),
        (declared_public_though_a_mart_has_it, LARGE, "column value: active_users: "),
    ],
)
def test_a_broken_publisher_is_caught(
    tmp_path: Path, broken: Callable[[Publication], None], sizes: Sizes, said: str
) -> None:
    publication = Publication.honest(7, sizes)
    broken(publication)
    assert said in problems(attacked(publication.write(tmp_path)))


def test_what_an_erasure_made_untrue_proves_nothing(tmp_path: Path) -> None:
    """Days are shown with many users who had left before their week was released."""
    publication = Publication.honest(7, LARGE)
    for leaf in publication.shown:
        if is_floored(leaf):
            publication.shown[leaf] = 0
    publication.compute()
    assert "and the periods within it" not in problems(attacked(publication.write(tmp_path)))


def test_only_a_proof_that_nothing_is_possible_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that runs out of time must not make the attacker drop what he knows."""
    leaves = [key("engagement_users", cell, dt.date(2026, 1, 5)) for cell in ("new_success", "new_other")]
    tie = Constraint({leaves[0]: 1, leaves[1]: -1}, 0, None)
    [possible] = System(dict.fromkeys(leaves, (0, 9)), [tie]).components()
    assert possible.lean({leaves[0]: 1})
    [impossible] = System({leaves[0]: (0, 3), leaves[1]: (5, 9)}, [tie]).components()
    assert not impossible.lean({leaves[0]: 1})
    monkeypatch.setattr(solver, "SECONDS", 0.0)
    domains = {key("errors", str(number), dt.date(2026, 1, 5)): (0, 10**6) for number in range(300)}
    rules = []
    for row in range(40):
        terms = {leaf: 3 + (row * place) % 7 for place, leaf in enumerate(domains)}
        total = sum(factor * (place % 5) for place, factor in enumerate(terms.values()))
        rules.append(Constraint(terms, total, total))
    [out_of_time] = System(dict(domains), rules).components()
    assert not out_of_time.is_possible()
    assert out_of_time.lean({})


def test_what_is_declared_to_be_public_passes_as_it_is(tmp_path: Path) -> None:
    publication = Publication.honest(7, LARGE)
    days = [
        row for row in publication.long_rows if (row["metric_key"], row["grain"]) == ("active_users", "day")
    ]
    values = {"value": 412.0, "state": "final"}, {"value": None, "state": "broken"}
    for number, row in enumerate(days):
        publication.long_rows.append(row | {"metric_key": "stars"} | values[number % 2])
        publication.long_rows.append(row | {"metric_key": "planned", "value": None, "state": "missing"})
    publication.public = ("stars",)
    assert problems(attacked(publication.write(tmp_path / "declared"))) == ""
    publication.public = ()
    assert "stars: no mart has this metric" in problems(attacked(publication.write(tmp_path / "undeclared")))


def test_a_period_recomputed_after_a_late_event_is_caught(tmp_path: Path) -> None:
    before = Publication.honest(7, LARGE)
    after = Publication.honest(7, LARGE)
    late = key("engagement_users", "returning_success", dt.date(2026, 1, 20))
    for number in range(8):
        after.truth[late].add(f"late user {number}")
    after.shown[late] = support.protected_users(after.truth[late])
    after.report_date += dt.timedelta(days=1)
    after.compute()
    assert after.shown[late] != before.shown[late]
    report = attacked(before.write(tmp_path), after.write(tmp_path))
    assert "engagement_users/returning_success of the day 2026-01-20" in problems(report)
    assert "a released period changed" in problems(report)


def test_a_released_period_that_is_gone_is_caught(tmp_path: Path) -> None:
    before, after = Publication.honest(7, LARGE), Publication.honest(7, LARGE)
    after.shown = {leaf: value for leaf, value in after.shown.items() if leaf.start != dt.date(2026, 1, 1)}
    after.report_date += dt.timedelta(days=1)
    after.compute()
    assert "is gone" in problems(attacked(before.write(tmp_path), after.write(tmp_path)))


def test_exports_of_several_days_pass_together(tmp_path: Path) -> None:
    for days in (22, 24):
        Publication.honest(7, dataclasses.replace(LARGE, days=days)).write(tmp_path)
    report = attacked(tmp_path)
    assert problems(report) == ""
    assert report.exports == 2


def _edited(files: dict[str, bytes], name: str, content: bytes) -> None:
    """Change a file, and the manifest with it, as a careful forger would."""
    files[name] = content
    manifest = json.loads(files["privacy.json"])
    for entry in manifest["files"]:
        if entry["path"] == name:
            entry["sha256"] = hashlib.sha256(content).hexdigest()
    files["privacy.json"] = json.dumps(manifest).encode()


def test_two_formats_that_disagree_are_caught_at_their_cell(tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        rows = list(csv.reader(io.StringIO(files["daily_engagement.csv"].decode())))
        rows[3][rows[0].index("active_users")] = "317"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        _edited(files, "daily_engagement.csv", text.getvalue().encode())

    report = attacked(Publication.honest(7, LARGE).write(tmp_path, change))
    assert "daily_engagement.csv, row 3, column active_users: the CSV file says '317'" in problems(report)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: files.update({"notes.txt": b"hello"}), "does not list this file"),
        (lambda files: files.pop("daily_engagement.csv"), "which is not there"),
        (lambda files: files.update({"daily_engagement.csv": b"x\n"}), "another SHA-256"),
        (lambda files: _edited(files, "daily_engagement.parquet", b"no parquet"), "is no Parquet file"),
        (lambda files: _edited(files, "release_ledger.csv", b"family\n"), "has other columns"),
    ],
)
def test_a_file_that_is_not_the_manifests_is_caught(
    tmp_path: Path, change: Callable[[dict[str, bytes]], Any], said: str
) -> None:
    assert said in problems(attacked(Publication.honest(7, LARGE).write(tmp_path, change)))


@pytest.mark.parametrize(
    ("name", "column", "value", "said"),
    [
        ("release_ledger", "period_start_date", "no date", "has other columns than a ledger"),
        ("release_ledger", "period_start_date", dt.date(9999, 12, 31), "names no leaf"),
        ("release_ledger", "released_at", None, "names no leaf"),
        ("release_parameters", "error_cap", 0, "the parameters cannot be used"),
        ("release_parameters", "lateness_days", 10**12, "the parameters cannot be used"),
        ("daily_engagement", "period_start_date", None, "is no day"),
        ("daily_engagement", "active_percentage", float("nan"), "has no explanation"),
    ],
)
def test_tables_that_nobody_publishes_are_refused_and_named(
    tmp_path: Path, name: str, column: str, value: object, said: str
) -> None:
    def change(files: dict[str, bytes]) -> None:
        table = pq.read_table(io.BytesIO(files[f"{name}.parquet"]))
        kind = pa.string() if isinstance(value, str) else table.schema.field(column).type
        values = pa.array([value] * len(table), kind)
        stream = io.BytesIO()
        pq.write_table(
            table.set_column(table.schema.get_field_index(column), column, values), stream, store_schema=False
        )
        _edited(files, f"{name}.parquet", stream.getvalue())

    told = problems(
        attacked(Publication.honest(7, dataclasses.replace(SMALL, days=8)).write(tmp_path, change))
    )
    assert said in told
    assert f"/{name}." in told


@pytest.mark.parametrize("entry", ["periods", "facts", "tables", "files", "parameters", "leaves"])
def test_a_manifest_with_entries_of_another_form_is_refused_or_not_needed(tmp_path: Path, entry: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        files["privacy.json"] = json.dumps(json.loads(files["privacy.json"]) | {entry: 5}).encode()

    publication = Publication.honest(7, dataclasses.replace(SMALL, days=8))
    report = attacked(publication.write(tmp_path, change))
    # What the audit goes by is its own list of leaves, and the parameters in their table.
    assert report.is_safe == (entry in {"parameters", "leaves"})


def test_a_manifest_that_hides_what_holds_is_caught(tmp_path: Path) -> None:
    def change(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["privacy.json"])
        manifest["facts"] = manifest["facts"][1:]
        files["privacy.json"] = json.dumps(manifest).encode()

    assert "does not say what holds" in problems(
        attacked(Publication.honest(7, LARGE).write(tmp_path, change))
    )


def test_a_folder_without_exports_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(KpiError, match="no export and holds none"):
        attacked(tmp_path)


def test_a_manifest_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "privacy.json").write_text("{")
    with pytest.raises(KpiError, match="is no manifest"):
        attacked(tmp_path)

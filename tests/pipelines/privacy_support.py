"""A small publisher in plain Python: made-up users, true leaves, their protection, and exports of them."""

import datetime as dt
import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipelines.privacy.derivations import Evaluator, Expression, parse
from pipelines.privacy.export_writer import Described, export_files, write_folder
from pipelines.privacy.floors import Needs, Period, lifted, needs_of, parts_of
from pipelines.privacy.leaves import BUCKET_CELLS, FAMILIES, LeafKey, Parameters
from pipelines.privacy.ledger import LEDGER_COLUMNS, LEDGER_TABLE, LONG_TABLE, PARAMETERS_TABLE, Ledger
from pipelines.privacy.periods import (
    ADJECTIVES,
    GRAINS,
    period_end,
    period_label,
    period_start,
)
from pipelines.privacy.reference import DRAWS, UNLIMITED, ShownPeriod, prove_nothing_together
from pipelines.privacy.tables import Table
from pipelines.warehouse import PROJECT_ROOT

K, B, LATENESS = 10, 5, 2
CAPS = {"tests": 20, "sessions": 10, "errors": 5}
ERROR_CELLS = (
    "no_period_history",
    "camera_too_far",
    "camera_too_close",
    "analysis_error",
    "test_lines_not_found",
    "test_not_found",
    "other",
)
TRY_CELLS = ("first_try", "second_try", "third_or_later", "unsuccessful")
RELEASED_AT = dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC)
PARAMETERS: dict[str, Any] = {
    "parameters_id": "p1",
    "mode": "rounded",
    "threshold": K,
    "base": B,
    "test_cap": CAPS["tests"],
    "session_cap": CAPS["sessions"],
    "error_cap": CAPS["errors"],
    "lateness_days": LATENESS,
    "first_used_at": RELEASED_AT,
}


@dataclass
class Leaf:
    """The true state of one leaf: its count, and who stands behind it."""

    units: int = 0
    users: set[str] = field(default_factory=set)

    def add(self, user: str | None, units: int = 1) -> None:
        self.units += units
        self.users.add(user or "")

    @property
    def contributors_key(self) -> int:
        key = 0
        for user in self.users - {""}:
            key ^= int(hashlib.sha256(f"record {user}".encode()).hexdigest()[:15], 16)
        return key


Truth = dict[LeafKey, Leaf]


@dataclass(frozen=True)
class Sizes:
    """How large a made-up company is."""

    users: int = 40
    activity: float = 0.4
    attempts: int = 4
    failing: float = 0.3
    days: int = 40
    first_day: dt.date = dt.date(2026, 1, 1)
    kinds: int = 7

    @property
    def last_day(self) -> dt.date:
        return self.first_day + dt.timedelta(days=self.days - 1)


def made_up(seed: int, sizes: Sizes) -> Truth:
    """Measure a made-up company: every leaf of every period that lies within its days."""
    chance = random.Random(seed)
    names: list[str | None] = [f"user {number}" for number in range(sizes.users)]
    if seed % 3 == 0:
        names.append(None)
    history: dict[dt.date, dict[str | None, list[str | None]]] = {}
    before = sizes.first_day - dt.timedelta(days=1)
    known = {name for name in names if name and chance.random() < 0.3}
    truth: Truth = defaultdict(Leaf)
    for user in known:
        truth[LeafKey("engagement_users", "day", sizes.first_day, "base")].add(user)
        truth[LeafKey("accounts", "day", sizes.first_day, "base")].add(user)
    seen: set[str | None] = set(known)
    for number in range(1, sizes.days + 1):
        day = before + dt.timedelta(days=number)
        active = {name: _attempts(chance, sizes) for name in names if chance.random() < sizes.activity}
        history[day] = active
        for name, outcomes in active.items():
            _measure_day(truth, day, name, outcomes, chance, is_new=name not in seen)
            if name and name not in seen:
                account = "with_test" if chance.random() < 0.8 else "without_test"
                truth[LeafKey("accounts", "day", day, account)].add(name)
            seen.add(name)
    for grain in GRAINS:
        _measure_periods(truth, grain, history)
    return dict(truth)


def _attempts(chance: random.Random, sizes: Sizes) -> list[str | None]:
    kinds = ERROR_CELLS[: sizes.kinds]
    return [
        chance.choice(kinds) if chance.random() < sizes.failing else None
        for _ in range(chance.randint(1, sizes.attempts))
    ]


def _measure_day(
    truth: Truth,
    day: dt.date,
    name: str | None,
    outcomes: list[str | None],
    chance: random.Random,
    *,
    is_new: bool,
) -> None:
    kinds = Counter(outcomes)
    successes, failures = kinds.pop(None, 0), sum(kinds[kind] for kind in kinds if kind)
    outcome: str
    for outcome, count in (("success", successes), ("error", failures)):
        if count:
            truth[LeafKey("tests", "day", day, outcome)].add(name, _capped(name, count, CAPS["tests"]))
    for kind, count in kinds.items():
        truth[LeafKey("errors", "day", day, str(kind))].add(name, _capped(name, count, CAPS["errors"]))
    tries = Counter(_tries(outcomes, chance))
    for cell, count in tries.items():
        truth[LeafKey("sessions", "day", day, cell)].add(name, _capped(name, count, CAPS["sessions"]))
    if name is not None:
        state = f"{'new' if is_new else 'returning'}_{'success' if successes else 'other'}"
        truth[LeafKey("engagement_users", "day", day, state)].add(name)


def _capped(name: str | None, count: int, most: int) -> int:
    return count if name is None else min(count, most)


def _tries(outcomes: list[str | None], chance: random.Random) -> Iterable[str]:
    """Cut the attempts of a day into sessions, and say at which try each succeeded."""
    rest = list(outcomes)
    while rest:
        length = chance.randint(1, min(4, len(rest)))
        session, rest = rest[:length], rest[length:]
        tried = session.index(None) if None in session else len(session)
        yield TRY_CELLS[min(tried, 2)] if None in session else "unsuccessful"


def _measure_periods(
    truth: Truth, grain: str, history: Mapping[dt.date, Mapping[str | None, list[str | None]]]
) -> None:
    first, last = min(history), max(history)
    periods: dict[dt.date, dict[str, list[str | None]]] = defaultdict(lambda: defaultdict(list))
    for day, active in history.items():
        start = period_start(grain, day)
        if start >= first and period_end(grain, start) <= last:
            for name, outcomes in active.items():
                if name is not None:
                    periods[start][name] += outcomes
    for start, users in periods.items():
        for name, outcomes in users.items():
            failures = sum(outcome is not None for outcome in outcomes)
            bucket = BUCKET_CELLS[failures if failures < 3 else 3 if failures < 6 else 4]
            truth[LeafKey("error_buckets", grain, start, bucket)].add(name)
            if grain != "day":
                cell = "success" if None in outcomes else "other"
                truth[LeafKey("engagement_users", grain, start, cell)].add(name)


def all_keys(sizes: Sizes) -> list[LeafKey]:
    """Name every leaf that is released."""
    keys = [LeafKey(family, "day", sizes.first_day, "base") for family in ("accounts", "engagement_users")]
    for grain in GRAINS:
        start = period_start(grain, sizes.first_day)
        while period_end(grain, start) <= sizes.last_day:
            if start >= sizes.first_day:
                for name, family in FAMILIES.items():
                    cells = family.cells.get(grain, ())
                    if name == "errors" and grain == "day":
                        cells = ERROR_CELLS
                    keys += [LeafKey(name, grain, start, cell) for cell in cells]
            start = period_end(grain, start) + dt.timedelta(days=1)
    return keys


def noise(leaf: Leaf, draw: int) -> int:
    text = f"cell|{leaf.contributors_key}|{leaf.units}"
    return int(hashlib.sha256(text.encode()).hexdigest()[7 * draw : 7 * draw + 15], 16)


def rounded(leaf: Leaf, draw: int = 0) -> int:
    rest = leaf.units % B
    return leaf.units - rest + (B if noise(leaf, draw) % B < rest else 0)


def protected_users(leaf: Leaf, draw: int = 0) -> int:
    if leaf.units >= K:
        return rounded(leaf, draw)
    return K if noise(leaf, draw) % K < leaf.units else 0


def protected_events(leaf: Leaf, draw: int = 0) -> int | None:
    return rounded(leaf, draw) if len(leaf.users) >= K else None


def protect(truth: Truth, keys: Iterable[LeafKey]) -> dict[LeafKey, int | None]:
    """Protect every leaf, as the macros do: what is drawn together again until it proves nothing together.

    Weeks and months are lifted to what the periods within them need.
    """
    shown: dict[LeafKey, int | None] = {}
    periods: dict[tuple[str, dt.date], list[LeafKey]] = defaultdict(list)
    for key in keys:
        if key.cell == "base" or key.family == "accounts":
            shown |= drawn(truth, [key], 0)
        else:
            periods[key.grain, key.start].append(key)
    own = Parameters.of(PARAMETERS)
    for whole in sorted(
        (Period(*period) for period in periods), key=lambda period: GRAINS.index(period.grain)
    ):
        ledger = Ledger.of(dict(zip(LEDGER_COLUMNS, row, strict=True)) for row in ledger_rows(shown))
        needs = needs_of([(part, part.shown(ledger)) for part in parts_of(ledger, whole)], own)
        for draw in range(DRAWS):
            figures = drawn(truth, periods[whole.grain, whole.start], draw)
            if whole.grain != "day":
                figures = lift(figures, needs, own)
            if prove_nothing_together(shown_period(figures)):
                break
        shown |= figures
    return {key: shown[key] for key in keys}


def lift(figures: Mapping[LeafKey, int | None], needs: Needs, own: Parameters) -> dict[LeafKey, int | None]:
    """Lift the figures of users of a week or month to what the periods within it need."""
    users = {key: value or 0 for key, value in figures.items() if FAMILIES[key.family].unit == "user"}
    found = lifted({(key.family, key.cell): value for key, value in users.items()}, needs, own)
    return dict(figures) | {key: found[key.family, key.cell] for key in users}


def drawn(truth: Truth, keys: list[LeafKey], draw: int) -> dict[LeafKey, int | None]:
    """Protect leaves of one period by one draw."""
    shown: dict[LeafKey, int | None] = {}
    for key in keys:
        leaf = truth.get(key, Leaf())
        is_user = FAMILIES[key.family].unit == "user"
        shown[key] = protected_users(leaf, draw) if is_user else protected_events(leaf, draw)
    for key in keys:
        if key.family == "tests":
            shown[key] = protected_tests(truth.get(key, Leaf()), shown, key, draw)
    return shown


def shown_period(figures: Mapping[LeafKey, int | None]) -> ShownPeriod:
    """Read what is shown of the users of one period, and what that of its tests stands for at most."""
    users = {key.cell: value or 0 for key, value in figures.items() if FAMILIES[key.family].unit == "user"}
    most = {}
    for key, value in figures.items():
        if key.family == "tests" and value != nothing_shown(figures, key):
            most[key.cell] = (value or UNLIMITED) + B - 1
    return ShownPeriod(
        [count for cell, count in users.items() if cell.endswith("success")],
        [count for cell, count in users.items() if cell.endswith("other")],
        users["0"],
        {bucket: users[bucket] for bucket in BUCKET_CELLS[1:]},
        most.get("success", UNLIMITED),
        most.get("error", UNLIMITED),
    )


def nothing_shown(shown: Mapping[LeafKey, int | None], key: LeafKey) -> int | None:
    """Give the figure of tests that stands there for few users, whatever they did."""
    return protected_tests(Leaf(), shown, key, 0)


def protected_tests(leaf: Leaf, shown: Mapping[LeafKey, int | None], key: LeafKey, draw: int) -> int | None:
    """Protect tests so that they fit to what is shown beside them."""

    def figures(family: str, *cells: str) -> list[int]:
        return [shown[LeafKey(family, "day", key.start, cell)] or 0 for cell in cells]

    def least(family: str, *cells: str) -> list[int]:
        return [max(K, figure - B + 1) if figure else 0 for figure in figures(family, *cells)]

    if key.cell == "success":
        cells = ("new_success", "returning_success")
        users = figures("engagement_users", *cells)
        needed = max(room(users, (1, 1)), *least("sessions", "first_try"))
    else:
        users = figures("error_buckets", *BUCKET_CELLS[1:])
        needed = max(
            room(users, (1, 2, 3, 6)),
            sum(least("errors", *ERROR_CELLS)),
            sum(least("sessions", *TRY_CELLS[1:])),
        )
    lifted = -(-needed // B) * B
    if not sum(users):
        return None
    return max(rounded(leaf, draw) if len(leaf.users) >= K else sum(users), lifted)


def room(users: list[int], weights: tuple[int, ...]) -> int:
    """What tests show at least so that users, who each made `weight` of them, keep their possible values."""
    smallest = [0 if not shown else 1 if shown == K else shown - B + 1 for shown in users]
    more = [
        0 if not shown else weight * (K - 1) - (B - 1) if shown == K else (weight - 1) * (B - 1)
        for shown, weight in zip(users, weights, strict=True)
    ]
    return sum(weight * count for weight, count in zip(weights, smallest, strict=True)) + max(more)


def ledger_rows(shown: Mapping[LeafKey, int | None], parameters_id: str = "p1") -> list[tuple[Any, ...]]:
    return [(*key, value, parameters_id, "0123456789abcdef", RELEASED_AT) for key, value in shown.items()]


LEDGER_TYPES = ("string", "string", "date", "string", "int64", "string", "string", "timestamp")
PARAMETER_TYPES = ("string", "string", *["int64"] * 6, "timestamp")


def published_marts() -> dict[str, dict[str, tuple[str, str]]]:
    """Read what the published marts declare: type and derivation of each column."""
    found = {}
    for path in sorted((PROJECT_ROOT / "models" / "marts" / "published").glob("published_*ly_*.yml")):
        found[path.stem.removeprefix("published_")] = _declared(path)
    return found


def long_table() -> dict[str, tuple[str, str]]:
    """Read what the long table of all published figures declares."""
    return _declared(PROJECT_ROOT / "models" / "marts" / "published" / f"published_{LONG_TABLE}.yml")


def _declared(path: Path) -> dict[str, tuple[str, str]]:
    [model] = yaml.safe_load(path.read_text(encoding="utf-8"))["models"]
    return {
        column["name"]: (_type(column["data_type"]), column["config"]["meta"]["derivation"].strip())
        for column in model["columns"]
    }


def _type(text: str) -> str:
    return "double" if "double" in text else "timestamp" if "timestamp" in text else text


RATIOS = {
    "active_percentage": ("active_users", "total_active_users_to_date"),
    "avg_tests_per_active_user": ("successful_tests", "active_users"),
    "adjusted_success_rate": ("successful_sessions", "total_sessions"),
    "first_try_success_rate": ("first_try_successes", "total_sessions"),
    "second_try_success_rate": ("second_try_successes", "total_sessions"),
    "third_plus_try_success_rate": ("third_plus_try_successes", "total_sessions"),
    "conversion_rate": ("accounts_with_tests", "accounts_created"),
}
"""What each ratio divides, and by what."""
LEADING = ("report_date", "period_label", "period_start_date", "period_end_date", "created_at")


def unpivoted(grain: str, mart_row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Turn a row of a published mart into the rows of the long table that say the same."""
    for name, value in mart_row.items():
        if name in LEADING:
            continue
        above, below = (mart_row[part] for part in RATIOS[name]) if name in RATIOS else (None, None)
        state = "withheld"
        if value is not None:
            state = "final"
        elif below == 0 or name == "active_change":
            state = "undefined"
        has_parts = None not in (above, below)
        yield {
            "metric_key": name,
            "grain": grain,
            "period_start_date": mart_row["period_start_date"],
            "period_end_date": mart_row["period_end_date"],
            "dimension": "",
            "value": None if value is None else float(value),
            "numerator": float(above) if has_parts and above is not None else None,
            "denominator": float(below) if has_parts and below is not None else None,
            "state": state,
            "computed_at": mart_row["created_at"],
        }


def grain_of(mart: str) -> str:
    """Give the grain of a mart."""
    return next(grain for grain, word in ADJECTIVES.items() if mart.startswith(f"{word}_"))


@dataclass
class Publication:
    """What one export is made from; a broken publisher changes it before it is written."""

    report_date: dt.date
    shown: dict[LeafKey, int | None]
    truth: Truth
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    marts: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    parameters: list[dict[str, Any]] = field(default_factory=lambda: [dict(PARAMETERS)])
    long_rows: list[dict[str, Any]] = field(default_factory=list)
    public: tuple[str, ...] = ()

    @classmethod
    def honest(cls, seed: int = 1, sizes: Sizes | None = None, reported: int = 12) -> "Publication":
        sizes = sizes or Sizes()
        truth = made_up(seed, sizes)
        shown = protect(truth, all_keys(sizes))
        publication = cls(sizes.last_day + dt.timedelta(days=LATENESS), shown, truth, marts=published_marts())
        publication.compute(reported)
        return publication

    def compute(self, reported: int = 12) -> None:
        """Make the rows of every mart from what is shown."""
        ledger = Ledger.of(dict(zip(LEDGER_COLUMNS, row, strict=True)) for row in ledger_rows(self.shown))
        self.long_rows = []
        for name, columns in self.marts.items():
            grain = grain_of(name)
            expressions = {column: parse(text) for column, (_, text) in columns.items()}
            starts = sorted(ledger.periods("error_buckets", grain))
            rows = [self._row(ledger, grain, start, expressions) for start in starts]
            self.rows[name] = rows[-reported:]
            self.long_rows += [figure for row in rows for figure in unpivoted(grain, row)]

    def _row(
        self,
        ledger: Ledger,
        grain: str,
        start: dt.date,
        expressions: Mapping[str, Expression],
    ) -> dict[str, Any]:
        evaluator = Evaluator(ledger, grain, expressions)
        dates = {
            "report_date": self.report_date,
            "period_label": period_label(grain, start, self.report_date),
            "period_start_date": start,
            "period_end_date": period_end(grain, start),
            "created_at": RELEASED_AT,
        }
        return {
            column: dates[column] if column in dates else evaluator.column(column, start)
            for column in expressions
        }

    def write(self, folder: Path, change: Callable[[dict[str, bytes]], None] | None = None) -> Path:
        """Write the export; `change` may still touch its files."""
        tables = [
            Described(
                Table(
                    name,
                    tuple((column, kind) for column, (kind, _) in columns.items()),
                    tuple(tuple(row[column] for column in columns) for row in self.rows[name]),
                ),
                f"Rows of {name}.",
                {},
                grain_of(name),
                {column: text for column, (_, text) in columns.items() if text},
            )
            for name, columns in self.marts.items()
        ]
        ledger = Table(
            LEDGER_TABLE,
            tuple(zip(LEDGER_COLUMNS, LEDGER_TYPES, strict=True)),
            tuple(ledger_rows(self.shown)),
        )
        parameters = Table(
            PARAMETERS_TABLE,
            tuple(zip(self.parameters[0], PARAMETER_TYPES, strict=True)),
            tuple(tuple(row.values()) for row in self.parameters),
        )
        tables += [Described(ledger, "Ledger.", {}), Described(parameters, "Parameters.", {})]
        columns = long_table()
        figures = Table(
            LONG_TABLE,
            tuple((column, kind) for column, (kind, _) in columns.items()),
            tuple(tuple(row[column] for column in columns) for row in self.long_rows),
        )
        derivations = {column: text for column, (_, text) in columns.items()}
        tables.append(Described(figures, "Every figure once more.", {}, None, derivations))
        files = export_files(self.report_date, tables, self.public)
        if change:
            change(files)
        target = folder / self.report_date.isoformat()
        write_folder(target, files)
        return target

"""The engine takes what BigQuery takes and refuses what other warehouses speak: only then does its word count."""

import datetime as dt
from decimal import Decimal

import pytest

from bigquery.engine import Engine, RefusedError, Table
from bigquery.service import Service, Stored

TABLES = {
    ("p", "d", "orders"): Table.of(
        {
            "order_id": "INT64",
            "status": "STRING",
            "amount": "NUMERIC",
            "share": "FLOAT64",
            "is_paid": "BOOL",
            "ordered_at": "TIMESTAMP",
            "ordered_on": "DATE",
        }
    ),
}
ORDERS = "`p`.`d`.`orders`"

ACCEPTED = (
    f"select date(ordered_at, 'Europe/Berlin') as day, countif(is_paid) as paid from {ORDERS} group by day",
    f"select * except (status) from {ORDERS} qualify row_number() over (partition by status order by order_id) = 1",
    f"select timestamp_diff(max(ordered_at), min(ordered_at), second) from {ORDERS}",
    f"select safe_divide(sum(amount), count(*)), approx_count_distinct(status) from {ORDERS}",
    f"select date_trunc(ordered_on, isoweek), date_add(ordered_on, interval 1 month) from {ORDERS}",
    "select day from unnest(generate_date_array(date '2025-03-01', date '2025-03-31')) as day",
    "select to_hex(sha256('x')), farm_fingerprint('x'), md5('x'), bit_xor(value) from unnest([1, 2]) as value",
    "select json_value('{\"a\": {\"b\": 1}}', '$.a.b'), concat('a', 1), regexp_contains('a', r'^a$')",
    f"select sum(amount) over (order by ordered_at rows between unbounded preceding and current row) from {ORDERS}",
    f"with recursive n as (select 1 as i union all select i + 1 from n where i < 3) select i from n, {ORDERS} as o",
    "create or replace table `p`.`d`.`t` (n int64 not null options(description='x'), day date) partition by day"
    f" cluster by n options(labels=[('a', 'b')]) as (select order_id as n, ordered_on as day from {ORDERS})",
    f"create or replace view `p`.`d`.`v` options(description='x') as select order_id from {ORDERS}",
    f"merge into {ORDERS} as stored using (select 1 as order_id, 'x' as status) as fresh on stored.order_id = fresh.order_id"
    " when matched then update set status = fresh.status when not matched then insert (order_id) values (order_id)",
    f"merge into {ORDERS} as stored using (select 1 as order_id) as fresh on false"
    " when not matched by source and stored.ordered_on in unnest([date '2025-03-30']) then delete"
    " when not matched then insert (order_id) values (order_id)",
    f"delete from {ORDERS} where status = 'void'",
    f"insert into {ORDERS} (order_id, amount) select 1, numeric '1.5'",
    f"grant `roles/bigquery.dataViewer` on table {ORDERS} to 'user:reader@company.example'",
    f"alter table {ORDERS} set options(expiration_timestamp=null)",
    "create schema if not exists `p`.`e`",
)

REFUSED = (
    # Types that other warehouses compare.
    f"select ordered_at >= datetime '2025-01-01' from {ORDERS}",
    f"select ordered_at > ordered_on from {ORDERS}",
    f"select order_id = status from {ORDERS}",
    f"select status like 1 from {ORDERS}",
    f"select coalesce(order_id, status) from {ORDERS}",
    f"select case when is_paid then 1 else 'no' end from {ORDERS}",
    f"select order_id from {ORDERS} where order_id",
    f"select 1 as x union all select status from {ORDERS}",
    f"select sum(status) from {ORDERS}",
    f"select sum(is_paid) from {ORDERS}",
    # Its functions, by other names or with other arguments.
    f"select date_diff('day', ordered_on, ordered_on) from {ORDERS}",
    f"select date_trunc('month', ordered_on) from {ORDERS}",
    f"select timestamp_add(ordered_at, interval 1 month) from {ORDERS}",
    f"select date_add(ordered_at, interval 1 month) from {ORDERS}",
    f"select strftime(ordered_on, '%Y') from {ORDERS}",
    f"select epoch(ordered_at) from {ORDERS}",
    f"select timezone('Europe/Berlin', ordered_at) from {ORDERS}",
    f"select count_if(is_paid) from {ORDERS}",
    f"select list(order_id) from {ORDERS}",
    f"select arg_max(status, order_id) from {ORDERS}",
    f"select median(amount) from {ORDERS}",
    "select regexp_matches('a', 'a')",
    "select json_extract_string('{}', '$.a')",
    "select * from generate_series(1, 3)",
    "select hash('a')",
    # Its grammar.
    f"select order_id::string from {ORDERS}",
    f"select cast(order_id as varchar) from {ORDERS}",
    f"select cast(ordered_at as timestamptz) from {ORDERS}",
    f"select cast(share as double) from {ORDERS}",
    f"select cast(order_id as hugeint) from {ORDERS}",
    f"select count(*) filter (where is_paid) from {ORDERS}",
    f"select distinct on (status) status, order_id from {ORDERS}",
    f"select status ilike 'a%' from {ORDERS}",
    f"select exclude_this.* exclude (status) from {ORDERS} as exclude_this",
    f"from {ORDERS} select order_id",
    "select [1, 2][1]",
    "select 7 // 2",
    "select 7 % 2",
    "select interval as billing_interval from (select 'month' as `interval`)",
    f"select order_id, count(*) from {ORDERS}",
    f"select order_id from {ORDERS} union select order_id from {ORDERS}",
    f"select row_number() over (order by order_id rows between unbounded preceding and current row) from {ORDERS}",
    "with lines as (select 1 as lines) select sum(lines) from lines",
    f"select a.order_id from {ORDERS} as a left join {ORDERS} as b on true asof join {ORDERS} as c on true",
    # What is not there.
    f"select nothing from {ORDERS}",
    "select 1 from `p`.`d`.`nowhere`",
    f"insert into {ORDERS} (order_id) values ('x')",
    f"insert into {ORDERS} (amount) select cast(1.5 as float64)",
    f"create or replace table `p`.`d`.`t` (a string) as (select order_id as a from {ORDERS})",
    f"delete from {ORDERS}",
)


@pytest.mark.parametrize("statement", ACCEPTED)
def test_what_bigquery_takes_is_taken(engine: Engine, statement: str) -> None:
    engine.analyse(statement, TABLES)


@pytest.mark.parametrize("statement", REFUSED)
def test_what_other_warehouses_speak_is_refused(engine: Engine, statement: str) -> None:
    with pytest.raises(RefusedError):
        engine.analyse(statement, TABLES)


def test_values_come_back_as_they_went_in(engine: Engine) -> None:
    instant = dt.datetime(2025, 3, 30, 0, 59, 59, 999_999, tzinfo=dt.UTC)
    columns = {
        "i": "INT64",
        "b": "BOOL",
        "f": "FLOAT64",
        "s": "STRING",
        "d": "DATE",
        "t": "TIMESTAMP",
        "n": "NUMERIC",
        "z": "BIGNUMERIC",
    }
    rows = [
        (
            2**63 - 1,
            True,
            0.1,
            "é\U0001f600",
            dt.date(1, 1, 1),
            instant,
            Decimal("-0.000000001"),
            Decimal(10) ** 38,
        ),
        (-(2**63), False, -0.0, "", dt.date(9999, 12, 31), None, Decimal(10) ** 28, Decimal("-1e-38")),
        (None,) * 8,
    ]
    table = Table.of(columns, rows)
    assert table.values() == rows
    found = engine.query("select * from `p.d.t`", {("p", "d", "t"): table})
    assert found.types == columns
    assert found.values() == rows


def test_it_is_another_engine_than_duckdb(engine: Engine) -> None:
    found = engine.query(
        "select least(null, 3), 7 / 2, date(timestamp '2025-03-30 22:30:00+00', 'Europe/Berlin')", {}
    )
    assert found.values() == [(None, 3.5, dt.date(2025, 3, 31))]


@pytest.mark.parametrize("condition", ["o.order_id in (select 1)", "exists (select 1)"])
def test_a_subquery_in_the_condition_of_a_join_is_refused_as_bigquery_does(
    engine: Engine, condition: str
) -> None:
    service = Service("p", engine=engine)
    for path, table in TABLES.items():
        service.put(path, Stored(table))
    joined = f"select o.order_id from {ORDERS} as o left join {ORDERS} as other on"
    service.execute(f"{joined} true where {condition}")
    with pytest.raises(RefusedError, match="inside join predicate"):
        service.execute(f"{joined} {condition}")

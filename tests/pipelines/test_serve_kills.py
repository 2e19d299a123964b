"""What was acknowledged is in the warehouse once, whoever is killed and whenever."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_support import House
from serve_support import Clients, request_of, serving

# Seals both folders again and again, as loads do at their beginning.
SEALER = """
import sys
from pathlib import Path
from pipelines.inbox import Inbox

inbox = Inbox(Path(sys.argv[1]))
while True:
    inbox.seal("events")
    inbox.seal("metric_values")
"""


def start_sealer(house: House) -> "subprocess.Popen[str]":
    inbox = str(house.folder / "warehouse.inbox")
    return house.start_program(sys.executable, "-c", SEALER, inbox)


def push_through_kills(house: House, requests: int, kills: int, *, is_loading: bool) -> Clients:
    """Let clients push while the server is killed and started again, and loads are killed too."""
    chance = random.Random(5)
    with serving(house) as server:
        pushing = Clients(server, requests, clients=12)
        threads = pushing.start()
        for number in range(1, kills + 1):
            loader = house.start("ingest", "pushed", "events") if is_loading else start_sealer(house)
            while len(pushing.acknowledged) < requests * number // (kills + 1) and any(
                thread.is_alive() for thread in threads
            ):
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.05))
            server.kill()
            loader.kill()
            loader.communicate()
            server.start()
        for thread in threads:
            thread.join()
    return pushing


def assert_each_counts_once(house: House, pushing: Clients) -> None:
    assert pushing.refused == []
    assert sorted(pushing.acknowledged) == list(range(pushing.requests))
    house.kpi("ingest", "pushed", "events").is_well()
    values = {n: body for n in range(pushing.requests) for path, body in [request_of(n)] if "metric" in path}
    stored = house.rows(
        "select pushed_id, value::bigint, metric_key from raw_pushed.metric_values order by 2"
    )
    assert stored == [(body["id"], number, "support_tickets") for number, body in values.items()]
    events = house.rows("select distinct event_id from raw_events.events")
    assert {event_id for (event_id,) in events} == {
        f"e{n}" for n in range(pushing.requests) if n not in values
    }
    assert house.one("select count(*) from raw_pushed.quarantine") == 0
    assert house.one("select count(*) from raw_events.quarantine") == 0


def test_what_is_acknowledged_counts_once_though_server_and_loads_are_killed(house: House) -> None:
    pushing = push_through_kills(house, requests=600, kills=3, is_loading=False)
    assert_each_counts_once(house, pushing)
    house.kpi("ingest", "pushed", "events").is_well("pushed: nothing new", "events: nothing new")


@pytest.mark.soak
def test_of_ten_thousand_requests_through_kills_none_is_lost_or_doubled(tmp_path: Path) -> None:
    house = House(tmp_path)
    started = time.monotonic()
    pushing = push_through_kills(house, requests=10_000, kills=20, is_loading=True)
    seconds = time.monotonic() - started
    print(f"10,000 requests of 12 clients through 20 kills in {seconds:.0f} s")
    assert_each_counts_once(house, pushing)

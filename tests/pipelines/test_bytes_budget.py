"""`kpi build --max-bytes`: dry runs against a server that answers as BigQuery does."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from command_support import House
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from pipelines.bytes_budget import SMALLEST_BILL, BytesBudget

MIB = 1 << 20


@dataclass
class Service:
    """Estimates a query by the number in its text, and keeps every job that it is given."""

    jobs: list[dict[str, Any]] = field(default_factory=list)

    def job(self, body: dict[str, Any]) -> dict[str, Any]:
        self.jobs.append(body)
        needed = str(int("".join(filter(str.isdigit, body["configuration"]["query"]["query"]))) * MIB)
        reference = {"projectId": "company", "jobId": "job", "location": "EU"} | body.get("jobReference", {})
        return {
            "jobReference": reference,
            "configuration": body["configuration"],
            "status": {"state": "DONE"},
            "statistics": {"totalBytesProcessed": needed, "query": {"totalBytesProcessed": needed}},
        }

    @property
    def tried(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs if job["configuration"].get("dryRun")]

    @property
    def run(self) -> list[dict[str, Any]]:
        return [job for job in self.jobs if not job["configuration"].get("dryRun")]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    kept = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = json.dumps(kept.job(body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield kept
    server.shutdown()


def client(limit: int) -> Any:
    """A client of Google's own, held to a limit; the class itself is left as it is."""

    class Held(bigquery.Client):
        pass

    BytesBudget(limit).watch(Held)
    return Held(project="company", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]


def test_each_statement_is_tried_before_it_is_run(service: Service) -> None:
    client(100 * MIB).query("select 30", job_id="named")
    assert [job["configuration"]["query"]["query"] for job in service.jobs] == ["select 30"] * 2
    assert [bool(job["configuration"].get("dryRun")) for job in service.jobs] == [True, False]
    assert service.tried[0]["configuration"]["query"]["useQueryCache"] is False
    assert service.run[0]["jobReference"]["jobId"] == "named"


def test_the_statement_that_goes_over_the_limit_is_not_run(service: Service) -> None:
    held = client(100 * MIB)
    held.query("select 60")
    with pytest.raises(BadRequest, match="62,914,560 of the 104,857,600"):
        held.query("select 41")
    held.query("select 40")
    assert [job["configuration"]["query"]["query"] for job in service.run] == ["select 60", "select 40"]


def test_bigquery_is_told_what_is_left_since_scripts_cannot_be_tried(service: Service) -> None:
    held = client(100 * MIB)
    held.query("select 60")
    held.query("declare x; select 0")
    limits = [int(job["configuration"]["query"]["maximumBytesBilled"]) for job in service.run]
    assert limits == [100 * MIB, 40 * MIB]


def test_a_smaller_limit_of_the_profile_stays(service: Service) -> None:
    held = client(100 * MIB)
    held.query("select 1", job_config=bigquery.QueryJobConfig(maximum_bytes_billed=50 * MIB))
    assert int(service.run[0]["configuration"]["query"]["maximumBytesBilled"]) == 50 * MIB
    held.query("select 98")
    held.query("select 0")
    assert int(service.run[2]["configuration"]["query"]["maximumBytesBilled"]) == SMALLEST_BILL


def test_the_limit_is_refused_without_bigquery(house: House) -> None:
    house.kpi("build", "--max-bytes", "1000").fails_with(2, "--max-bytes is about what BigQuery reads")
    house.kpi("build", "--max-bytes", "0").fails_with(2, "--max-bytes")

"""A loopback Stripe of nothing but invoices, each ready as bytes: `python -m bench._stripe_server INVOICES LATENCY`.

It has a process of its own, prints its port, and serves until it is ended. Latency is milliseconds a request.
"""

import bisect
import json
import socketserver
import sys
import time
from urllib.parse import parse_qsl, urlsplit

from pipelines.demo.stripe_account import Line, StripeAccount
from pipelines.demo.stripe_versions import NEWEST, shown

FIRST = 1_700_000_000
SECONDS_BETWEEN = 1800
LINES = 3
SAMPLE = 500
"""So many different invoices are made; the others are these under ids and instants of their own."""
MOST_ROWS = 100


class Invoices:
    """Invoices newest first, as bytes."""

    def __init__(self, number: int) -> None:
        account = StripeAccount(now=FIRST)
        customer = account.add_customer(name="Customer", email="customer@example.com")
        price = account.add_price(account.add_product("Seats"), "usd", 1000)
        for amount in range(SAMPLE):
            lines = [Line(1000 + amount + n, price=price, tax_amount=190) for n in range(LINES)]
            account.add_invoice(customer, "usd", lines, status="paid")
        sample = [shown("invoices", row, NEWEST) for row in account.listed("invoices")]
        self.created = [FIRST + (number - place) * SECONDS_BETWEEN for place in range(number)]
        self.rows = []
        self.places = {}
        for place, created in enumerate(self.created):
            row = sample[place % SAMPLE]
            name = f"in_{number - place:012d}"
            embedded = {
                **row["lines"],
                "data": [
                    {**line, "id": f"il_{number - place:010d}{at}", "invoice": name}
                    for at, line in enumerate(row["lines"]["data"])
                ],
            }
            self.places[name] = place
            self.rows.append(json.dumps({**row, "id": name, "created": created, "lines": embedded}).encode())

    def page(self, query: dict[str, str]) -> bytes:
        """One page of the list."""
        # Newest first: a bound on `created` is a place in the list.
        first = _place(self.created, int(query.get("created[lt]", 2**40)) - 1)
        last = _place(self.created, int(query.get("created[gte]", 0)) - 1)
        if "starting_after" in query:
            first = max(first, self.places[query["starting_after"]] + 1)
        end = min(first + int(query.get("limit", "10")), last)
        more = b"true" if end < last else b"false"
        return b"".join(
            (
                b'{"object":"list","url":"/v1/invoices","has_more":',
                more,
                b',"data":[',
                b",".join(self.rows[first:end]),
                b"]}",
            )
        )


def _place(created: list[int], newest: int) -> int:
    """The place of the first invoice that is not newer than this."""
    return bisect.bisect_left(created, -newest, key=lambda instant: -instant)


class _Handler(socketserver.StreamRequestHandler):
    invoices: Invoices
    latency: float
    disable_nagle_algorithm = True

    def handle(self) -> None:
        while request := self.rfile.readline():
            while self.rfile.readline() not in {b"\r\n", b""}:
                pass
            parts = urlsplit(request.split(b" ")[1].decode())
            if parts.path == "/v1/invoices":
                body = self.invoices.page(dict(parse_qsl(parts.query)))
            else:
                body = b'{"object":"list","url":"","has_more":false,"data":[]}'
            time.sleep(self.latency)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            self.wfile.write(head.encode() + body)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


def main() -> None:
    """Serve until ended."""
    handler = type(
        "Handler", (_Handler,), {"invoices": Invoices(int(sys.argv[1])), "latency": float(sys.argv[2]) / 1000}
    )
    with _Server(("127.0.0.1", 0), handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

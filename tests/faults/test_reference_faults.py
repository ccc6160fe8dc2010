"""The database or the service dies while rows go together: each deletion is done as a whole or not at all."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import httpx2
import pytest

from tests.faults.clients import ITEMS, Answer, ask, draft, new_client
from tests.faults.deployment import DATABASE_TIMEOUT_SECONDS, Deployment
from tests.faults.plugin import Note

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))

CUSTOMERS, ORDER_LINES = "/api/v1/customers", "/api/v1/order-lines"
CUSTOMERS_AT_FIRST = 60
LINES_OF_EACH = 4
WRITERS, DELETERS = 4, 4
# So many customers are gone when the fault comes, and the others are going.
DELETED_BEFORE = 15
BUSY_SECONDS = 0.5
RECOVERY_SECONDS = 75.0
Row = dict[str, str]


class Trade:
    """Clients that write order lines of some customers, and delete others together with their order lines.

    An order line goes with its keeper, and loses its buyer.
    """

    def __init__(self, service: Deployment) -> None:
        self.service = service
        self.answers: list[Answer] = []
        self.deleted: list[str] = []
        self.written: list[str] = []
        self._stop = threading.Event()
        with new_client(service.url) as client:
            self.item = _created(client, ITEMS, draft())
            self.keepers = [self._customer(client) for _ in range(CUSTOMERS_AT_FIRST)]
            self.stays = self._customer(client)
            for keeper in self.keepers:
                rows = [self._line(keeper, self.stays) for _ in range(LINES_OF_EACH // 2)]
                rows += [self._line(self.stays, keeper) for _ in range(LINES_OF_EACH // 2)]
                assert ask(client, "POST", f"{ORDER_LINES}/batch", rows).status == 201
        self._waiting = list(self.keepers)

    def __enter__(self) -> Self:
        jobs: Sequence[Callable[[httpx2.Client], None]] = [self._write] * WRITERS + [self._delete] * DELETERS
        self._pool = ThreadPoolExecutor(len(jobs))
        self._running = [self._pool.submit(self._go_on, job) for job in jobs]
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for running in self._running:
            running.result()
        self._pool.shutdown()

    def rows(self, path: str) -> dict[str, Row]:
        """Return what is exported, by id."""
        with new_client(self.service.url) as client:
            answer = client.get(f"{path}/export")
        assert answer.status_code == 200, answer.text
        rows = [json.loads(line) for line in answer.content.split(b"\n") if line]
        return {row["id"]: row for row in rows}

    def _go_on(self, job: Callable[[httpx2.Client], None]) -> None:
        with new_client(self.service.url) as client:
            while not self._stop.is_set():
                job(client)

    def _write(self, client: httpx2.Client) -> None:
        answer = ask(client, "POST", ORDER_LINES, self._line(self.stays, self.stays))
        self.answers.append(answer)
        if answer.status == 201:
            self.written.append(json.loads(answer.text)["id"])
        time.sleep(0.01)

    def _delete(self, client: httpx2.Client) -> None:
        if not self._waiting:
            time.sleep(0.05)
            return
        customer = self._waiting.pop()
        answer = ask(client, "DELETE", f"{CUSTOMERS}/{customer}")
        self.answers.append(answer)
        if answer.status == 204:
            self.deleted.append(customer)
        time.sleep(0.01)

    def _customer(self, client: httpx2.Client) -> str:
        return _created(client, CUSTOMERS, {"email": uuid.uuid4().hex})

    def _line(self, keeper: str, buyer: str) -> dict[str, object]:
        ids = {"item_id": self.item, "keeper_id": keeper, "buyer_id": buyer}
        return {"number": uuid.uuid4().hex, "quantity": 1, "price": "1.00", **ids}


def _created(client: httpx2.Client, path: str, row: dict[str, object]) -> str:
    answer = ask(client, "POST", path, row)
    assert answer.status == 201, answer
    created: str = json.loads(answer.text)["id"]
    return created


def must_be_whole(trade: Trade) -> str:
    """Fail if anything was lost or half done, and return the counts in words."""
    customers, lines = trade.rows(CUSTOMERS), trade.rows(ORDER_LINES)
    kept, bought = _counted(lines, "keeper_id"), _counted(lines, "buyer_id")
    half = LINES_OF_EACH // 2
    assert customers.keys() >= kept.keys() | bought.keys(), "No order line refers to nothing."
    # The stand-in for MongoDB writes the transactions of the last moment to its disk later than it says.
    is_stand_in = getattr(trade.service.database.server, "is_stand_in", False)
    assert is_stand_in or not customers.keys() & set(trade.deleted), "What was confirmed as deleted is gone."
    for customer in customers.keys() & set(trade.keepers):
        assert (kept[customer], bought[customer]) == (half, half), (
            "A customer has all order lines, or is gone."
        )
    lost = set(trade.written) - lines.keys()
    assert not lost or is_stand_in, f"{len(lost)} order lines that were confirmed are lost."
    statuses = Counter(answer.status for answer in trade.answers)
    # Of processes that are killed, Nginx may be the last, and respond with 502.
    assert set(statuses) <= {0, 201, 204, 502, 503}, statuses
    refused = statuses[503] + statuses[502] + statuses[0]
    return f"{statuses[201]} order lines written, {statuses[204]} customers deleted, {refused} refused"


def _counted(lines: dict[str, Row], name: str) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for line in lines.values():
        if line[name]:
            counts[line[name]] += 1
    return counts


def _wait_for_writes(trade: Trade, seconds: float = RECOVERY_SECONDS) -> float:
    """Return after how many seconds an order line was written that was asked for from now on."""
    began_at = time.monotonic()
    while not any(answer.status == 201 and answer.sent_at > began_at for answer in trade.answers[-50:]):
        assert time.monotonic() - began_at < seconds, trade.answers[-3:]
        time.sleep(0.02)
    return time.monotonic() - began_at


def _wait_for_deletions(trade: Trade) -> None:
    deadline = time.monotonic() + RECOVERY_SECONDS
    while len(trade.deleted) < DELETED_BEFORE:
        assert time.monotonic() < deadline, trade.answers[-3:]
        time.sleep(0.001)


@pytest.mark.quick(database="postgres")
@pytest.mark.only(database={"postgres", "mongodb"})
def test_a_database_killed_while_rows_go_together_leaves_none_half_done(
    service: Deployment, note: Note
) -> None:
    assert service.database.server is not None
    with Trade(service) as trade:
        _wait_for_deletions(trade)
        service.database.server.kill()
        # Requests wait for the database for so long, and an outage that is shorter may not fail any.
        time.sleep(DATABASE_TIMEOUT_SECONDS + BUSY_SECONDS)
        service.database.server.start()
        recovered = _wait_for_writes(trade)
        time.sleep(BUSY_SECONDS)

    counted = must_be_whole(trade)
    assert any(answer.status == 503 for answer in trade.answers)
    note("database killed while rows go together", recovered, f"from its return to the next 201; {counted}")


@pytest.mark.quick(database="sqlite")
def test_a_service_killed_while_rows_go_together_leaves_none_half_done(
    service: Deployment, note: Note
) -> None:
    with Trade(service) as trade:
        _wait_for_deletions(trade)
        service.kill()
        seconds = service.start()
        _wait_for_writes(trade)

    note("service killed while rows go together", seconds, f"from its start to ready; {must_be_whole(trade)}")


def test_a_frozen_database_returns_503_for_rows_with_references(service: Deployment, note: Note) -> None:
    trade = Trade(service)
    with new_client(service.url) as client:
        line = next(iter(trade.rows(ORDER_LINES).values()))
        with service.database.frozen():
            written = ask(client, "POST", ORDER_LINES, trade._line(trade.stays, trade.stays))
            removed = ask(client, "DELETE", f"{CUSTOMERS}/{trade.keepers[0]}")
        with Trade(service) as later:
            _wait_for_writes(later)
        read = ask(client, "GET", f"{ORDER_LINES}/{line['id']}?expand=item,buyer,keeper")

    for answer in (written, removed):
        assert answer.status == 503, answer
        assert int(answer.headers["Retry-After"]) >= 1, answer
        assert not service.leaks(answer.text), answer
    assert read.status in {200, 404}
    note("database stands still, references", max(written.seconds, removed.seconds), must_be_whole(later))

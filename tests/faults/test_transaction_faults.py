"""The database or the service dies during transactions: each is done completely or not at all."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.faults.clients import ITEMS, ask, draft, new_client
from tests.faults.deployment import Deployment
from tests.faults.plugin import Note

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))

CLIENTS = 8
CENTS = 100_000
BUSY_SECONDS = 1.0
RECOVERY_SECONDS = 15.0
# MongoDB keeps the locks of a dead client for transactionLifetimeLimitSeconds (60).
LIFETIME_SECONDS = {"mongodb": 75.0}
UNKNOWN = "urn:problem:outcome-unknown"
ROUTE = '''

@router.post("/{source}/to/{target}", include_in_schema=False)
async def transfer(source: UUID, target: UUID, request: Request) -> Response:
    """Move a cent from one item to another."""
    from .queries import TABLE

WORK    await request.state.database.transact(work, **RETRIES)
    return Response(status_code=204)
'''
WORKS = {
    "sqlite": """\
    def work(transaction):
        transaction.execute("UPDATE items SET price_cents = price_cents - 1 WHERE id = ?", (str(source),))
        transaction.execute("UPDATE items SET price_cents = price_cents + 1 WHERE id = ?", (str(target),))
        transaction.changed(TABLE, source, target)

""",
    "postgres": """\
    async def work(transaction):
        await transaction.execute("UPDATE items SET price_cents = price_cents - 1 WHERE id = $1", source)
        await transaction.execute("UPDATE items SET price_cents = price_cents + 1 WHERE id = $1", target)
        transaction.changed(TABLE, source, target)

""",
    "mongodb": """\
    async def work(transaction):
        items = transaction.database["items"]
        await items.update_one({"_id": source}, {"$inc": {"price_cents": -1}})
        await items.update_one({"_id": target}, {"$inc": {"price_cents": 1}})
        transaction.changed(TABLE, source, target)

""",
}
RETRIES = {"sqlite": "{}", "postgres": '{"retries": 3}', "mongodb": '{"retries": 20}'}


@pytest.fixture
def transferring(deployment: Deployment) -> Iterator[Deployment]:
    """The variant's service with one more route, which moves a cent from one item to another."""
    database = str(deployment.variant["database"])
    routes = deployment.run.project / "app/items/routes.py"
    before = routes.read_text()
    route = ROUTE.replace("WORK", WORKS[database]).replace("RETRIES", RETRIES[database])
    routes.write_text(before + route)
    deployment.kill()
    deployment.start()
    yield deployment
    routes.write_text(before)
    deployment.kill()


class Transfers:
    """Clients that move cents from one item to another during the block."""

    def __init__(self, service: Deployment) -> None:
        self.service = service
        self.outcomes: Counter[str] = Counter()
        self.last_success_at = 0.0
        with new_client(service.url) as client:
            places = [
                ask(client, "POST", ITEMS, draft(price_cents=CENTS)).headers["Location"] for _ in range(2)
            ]
        self.source, self.target = (place.rpartition("/")[2] for place in places)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(CLIENTS)]

    def __enter__(self) -> Transfers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def moved(self) -> tuple[int, int]:
        """Return the cents that one item has lost and the other has gained, according to the database."""
        with new_client(self.service.url) as client:
            # Lines of bytes, because text has more line breaks: names may contain U+0085.
            items = [json.loads(line) for line in client.get(f"{ITEMS}/export").content.splitlines()]
        cents = {item["id"]: item["price_cents"] for item in items}
        return CENTS - cents[self.source], cents[self.target] - CENTS

    def read(self) -> tuple[int, int]:
        """Return the same for a client that reads both items, through the cache."""
        with new_client(self.service.url) as client:
            cents = [
                client.get(f"{ITEMS}/{place}").json()["price_cents"] for place in (self.source, self.target)
            ]
        return CENTS - cents[0], cents[1] - CENTS

    def wait_for_success_after(self, moment: float, seconds: float = RECOVERY_SECONDS) -> float:
        """Return when the first transfer that was requested after the moment succeeded."""
        deadline = time.monotonic() + seconds
        while self.last_success_at <= moment:
            assert time.monotonic() < deadline, self.outcomes
            time.sleep(0.02)
        return self.last_success_at

    def _go_on(self) -> None:
        with new_client(self.service.url) as client:
            while not self._stop.is_set():
                answer = ask(client, "POST", f"{ITEMS}/{self.source}/to/{self.target}")
                kind = str(answer.status)
                if answer.status == 503 and answer.text and json.loads(answer.text)["type"] == UNKNOWN:
                    kind = "unknown"
                self.outcomes[kind] += 1
                if answer.status == 204:
                    self.last_success_at = answer.ended_at
                else:
                    time.sleep(0.02)


def must_be_whole(transfers: Transfers) -> str:
    """Fail unless every transfer was done completely or not at all, and return the counts as text."""
    lost, won = transfers.moved()
    # Of processes that are killed, Nginx may be the last, and respond with 502.
    in_doubt = ("unknown", "0", "502")
    done, doubtful = transfers.outcomes["204"], sum(transfers.outcomes[kind] for kind in in_doubt)
    assert lost == won
    assert won <= done + doubtful
    # The stand-in for MongoDB confirms the last transactions before they are on disk.
    assert done <= won or getattr(transfers.service.database.server, "is_stand_in", False)
    assert set(transfers.outcomes) <= {"204", "409", "503", *in_doubt}
    refused = transfers.outcomes["503"] + transfers.outcomes["409"]
    told = f"{done} x 204, {refused} refused, {doubtful} in doubt; {won} were done"
    return f"{told}; no sum was broken"


@pytest.mark.only(database={"postgres", "mongodb"})
def test_transactions_are_atomic_when_the_database_is_killed(transferring: Deployment, note: Note) -> None:
    assert transferring.database.server is not None
    with Transfers(transferring) as transfers:
        transfers.wait_for_success_after(0)
        time.sleep(BUSY_SECONDS)
        transferring.database.server.kill()
        time.sleep(BUSY_SECONDS)
        transferring.database.server.start()
        back_at = time.monotonic()
        recovered_at = transfers.wait_for_success_after(back_at)
        time.sleep(BUSY_SECONDS)

    counted = must_be_whole(transfers)
    note(
        "database killed during transactions",
        recovered_at - back_at,
        f"from its return to the next 204; {counted}",
    )


def test_transactions_on_a_frozen_database_end_within_the_timeout(
    transferring: Deployment, note: Note
) -> None:
    with Transfers(transferring) as transfers:
        transfers.wait_for_success_after(0)
        with transferring.database.frozen():
            time.sleep(2 * BUSY_SECONDS)
        resumed_at = time.monotonic()
        recovered_at = transfers.wait_for_success_after(resumed_at)
        time.sleep(BUSY_SECONDS)

    counted = must_be_whole(transfers)
    if transferring.variant["cache"] != "ttl":
        assert transfers.read() == transfers.moved()
    note("database frozen during transactions", recovered_at - resumed_at, f"from its resumption; {counted}")


def test_transactions_are_atomic_when_the_service_is_killed(transferring: Deployment, note: Note) -> None:
    with Transfers(transferring) as transfers:
        transfers.wait_for_success_after(0)
        time.sleep(BUSY_SECONDS)
        transferring.kill()
        seconds = transferring.start()
        patience = LIFETIME_SECONDS.get(str(transferring.variant["database"]), RECOVERY_SECONDS)
        transfers.wait_for_success_after(time.monotonic(), patience)

    counted = must_be_whole(transfers)
    note("service killed during transactions", seconds, f"from its start to ready; {counted}")

"""Consistency for clients of all workers while others write: no stale item beyond the documented bound."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Self

import pytest

from tests.acceptance.service import GRACE_SECONDS, ITEMS, Item, Service

LONGEST_WAIT_SECONDS = 5.0
ROUNDS = 6


@pytest.fixture
def wait(service: Service) -> Callable[[], None]:
    """Wait until no read may be stale: for the TTL, if several workers have separate caches."""
    if service.stale_seconds > LONGEST_WAIT_SECONDS:
        pytest.skip(
            f"waiting for CACHE_TTL_SECONDS={service.cache_ttl_seconds} takes too long: start it with 1"
        )
    return lambda: time.sleep(service.stale_seconds + GRACE_SECONDS if service.stale_seconds else 0)


def _prices(service: Service, item: Item) -> list[int]:
    """Return the prices that reads see, on separate connections, so that every worker gets some."""
    path = f"{ITEMS}/{item['id']}"
    return service.many(
        lambda _: int(service.on_new_connection(path).json()["price_cents"]), 8 * service.workers
    )


def test_no_worker_shows_an_old_item_beyond_the_bound(
    service: Service, item: Item, wait: Callable[[], None]
) -> None:
    _prices(service, item)
    service.patch(item["id"], price_cents=1).raise_for_status()
    wait()
    seen = _prices(service, item)
    assert set(seen) == {1}, (
        f"a read after a change never shows the old item beyond the cache's bound: {seen}"
    )


def test_no_worker_shows_a_deleted_item_beyond_the_bound(
    service: Service, item: Item, wait: Callable[[], None]
) -> None:
    _prices(service, item)
    service.delete(item["id"]).raise_for_status()
    wait()
    path = f"{ITEMS}/{item['id']}"
    seen = service.many(lambda _: service.on_new_connection(path).status_code, 8 * service.workers)
    assert set(seen) == {404}, f"a deleted item is never shown beyond the cache's bound: {seen}"


@pytest.mark.parametrize("ending", ["change", "deletion"])
def test_a_read_under_load_shows_the_last_write(ending: str, service: Service) -> None:
    """A read that began before a write must not put its result into the cache."""
    for _ in range(ROUNDS):
        item = service.create(price_cents=0)
        with _Readers(service, item) as readers:
            for price in (1, 2, 3):
                service.patch(item["id"], price_cents=price).raise_for_status()
                readers.answered_price = price
            if ending == "deletion":
                service.delete(item["id"]).raise_for_status()
        expected = 404 if ending == "deletion" else 200
        told = f"a {ending} is not undone by a read under load"
        service.within_bound(partial(_answers, service, item, expected), told)


def _answers(service: Service, item: Item, status: int) -> bool:
    return service.get(item["id"]).status_code == status


class _Readers:
    """Threads that keep reading an item; none may see a lower price than an earlier response."""

    def __init__(self, service: Service, item: Item) -> None:
        self.service = service
        self.item = item
        self.answered_price = 0
        self.stop = threading.Event()
        self.broken: list[str] = []
        self.threads = [threading.Thread(target=self._read) for _ in range(4)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.broken, (
            f"a read after a change never shows the old item, even under load: {self.broken}"
        )

    def _read(self) -> None:
        while not self.stop.is_set():
            answered = self.answered_price
            answer = self.service.get(self.item["id"])
            if answer.status_code == 404:
                return
            price = answer.json()["price_cents"]
            if price < answered and not self.service.stale_seconds:
                self.broken.append(f"{price} after {answered} had been returned")

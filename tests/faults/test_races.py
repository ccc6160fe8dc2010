"""Concurrent requests, in one worker and in two."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from operator import itemgetter

import pytest

from tests.faults.clients import ITEMS, ask, at_once, draft, new_client
from tests.faults.deployment import CACHE_TTL_SECONDS, Deployment
from tests.faults.plugin import Note

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))

READERS = 4
# The duration of the changes beyond the bound, within which no read can be late.
JUDGED_SECONDS = 1.5
GRACE_SECONDS = 1.0


def test_only_one_of_two_creations_of_a_name_succeeds(service: Deployment) -> None:
    for _ in range(10):
        item = draft()
        answers = at_once(service.url, 2, lambda client, _, item=item: ask(client, "POST", ITEMS, item))  # type: ignore[misc]

        assert sorted(answer.status for answer in answers) == [201, 409]


def test_a_batch_with_one_bad_item_stores_nothing(service: Deployment) -> None:
    taken = draft()
    with new_client(service.url) as client:
        ask(client, "POST", ITEMS, taken)
        good = [draft() for _ in range(50)]
        refused = ask(client, "POST", f"{ITEMS}/batch", [*good, taken]).status
        invalid = ask(client, "POST", f"{ITEMS}/batch", [*good, draft(price_cents=-1)]).status

    assert (refused, invalid) == (409, 422)
    assert not {str(item["name"]) for item in good} & service.stored_names()


@pytest.mark.depends("database", "cache", once=("mongodb_driver", "deployment"))
def test_no_client_sees_an_older_item_after_a_newer_one_beyond_the_bound(
    service: Deployment, note: Note
) -> None:
    """The bound is CACHE_TTL_SECONDS if each worker has a separate cache, and zero otherwise."""
    own_cache = service.variant["cache"] == "ttl"
    bound = CACHE_TTL_SECONDS + GRACE_SECONDS if own_cache else 0.0
    losses_before = losses_of_redis(service)
    with new_client(service.url) as client:
        path = ask(client, "POST", ITEMS, draft(price_cents=0)).headers["Location"]
    answered: list[tuple[float, int]] = [(time.monotonic(), 0)]
    reads: list[tuple[float, int]] = []
    stop = threading.Event()
    threads = [
        threading.Thread(target=_read_on, args=(service.url, path, reads, stop)) for _ in range(READERS)
    ]
    for thread in threads:
        thread.start()
    began_at = time.monotonic()
    with new_client(service.url) as client:
        while time.monotonic() - began_at < bound + JUDGED_SECONDS:
            price = answered[-1][1] + 1
            assert ask(client, "PATCH", path, {"price_cents": price}).status == 200
            answered.append((time.monotonic(), price))
    stop.set()
    for thread in threads:
        thread.join()

    if losses_of_redis(service) > losses_before:
        # If the machine is so busy that Redis is treated as dead, the bound for a dead Redis applies.
        bound = CACHE_TTL_SECONDS + GRACE_SECONDS
    late = [price for at, price in reads if price < _newest_answered(answered, at - bound)]
    assert not late
    note(
        "PATCH and GET through two workers",
        bound,
        f"the bound; {len(answered)} changes, {len(reads)} reads, none late",
    )


def losses_of_redis(service: Deployment) -> int:
    """Return how often a worker has logged that it cannot reach Redis."""
    return service.log.read_text(errors="replace").count("Redis does not respond")


def _newest_answered(answered: list[tuple[float, int]], at: float) -> int:
    """Return the newest price that the service had returned by then."""
    before = bisect_right(answered, at, key=itemgetter(0))
    return answered[before - 1][1] if before else 0


def _read_on(url: str, path: str, reads: list[tuple[float, int]], stop: threading.Event) -> None:
    """Read on connections that any worker may accept, and record time and price."""
    while not stop.is_set():
        with new_client(url) as client:
            began_at = time.monotonic()
            answer = ask(client, "GET", path, Connection="close")
        reads.append((began_at, json.loads(answer.text)["price_cents"]))

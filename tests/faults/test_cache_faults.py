"""Redis dies, stands still and comes back: reads go on, and nobody sees an old item beyond the bound."""

from __future__ import annotations

import time

import pytest

from tests.faults.clients import GRACE_SECONDS, ITEMS, Answer, Load, ask, draft, new_client
from tests.faults.deployment import CACHE_TTL_SECONDS, WORKERS, Deployment
from tests.faults.plugin import Note

pytestmark = pytest.mark.only(cache={"redis"})
RECOVERY_SECONDS = 10.0
# A Redis that hangs is given up after 0.3 s: app/forge/cache/redis_connection.py.
DEGRADED_SECONDS = 0.3 + GRACE_SECONDS


def create_item(service: Deployment) -> str:
    """Return the path of a new item."""
    with new_client(service.url) as client:
        return ask(client, "POST", ITEMS, draft(price_cents=0)).headers["Location"]


def read_everywhere(service: Deployment, path: str) -> list[Answer]:
    """Return what reads on new connections see, so many that every worker is asked."""
    answers = []
    for _ in range(8 * WORKERS):
        with new_client(service.url) as client:
            answers.append(ask(client, "GET", path, Connection="close"))
    return answers


def change(service: Deployment, path: str, price: int) -> Answer:
    """Return the answer to a new price."""
    with new_client(service.url) as client:
        return ask(client, "PATCH", path, {"price_cents": price})


def price_in(answer: Answer) -> str:
    """Return where the answer says what the item costs."""
    return answer.text.partition('"price_cents":')[2].partition(",")[0]


def until_hit(service: Deployment, path: str) -> float:
    """Return after how many seconds a read is answered from the cache again."""
    began_at = time.monotonic()
    while "hit" not in {answer.headers.get("X-Cache") for answer in read_everywhere(service, path)}:
        assert time.monotonic() - began_at < RECOVERY_SECONDS
    return time.monotonic() - began_at


def test_without_redis_reads_go_on_from_the_database_and_none_is_stale_after_it_is_back(
    service: Deployment, note: Note
) -> None:
    assert service.redis is not None
    path = create_item(service)
    until_hit(service, path)
    with Load(service.url, clients=4, reads=lambda client: ask(client, "GET", path)) as load:
        service.redis.kill()
        time.sleep(1)
        changed = change(service, path, 7)
        degraded = read_everywhere(service, path)
        service.redis.start()
        seconds = until_hit(service, path)
    time.sleep(CACHE_TTL_SECONDS)
    recovered = read_everywhere(service, path)

    assert {answer.status for answer in load.answers} <= {200, 201}
    assert changed.status == 200
    assert {price_in(answer) for answer in degraded + recovered} == {"7"}
    slowest = max(answer.seconds for answer in load.answers)
    assert slowest < DEGRADED_SECONDS
    note(
        "Redis killed under load",
        seconds,
        f"from its return to the next hit; slowest answer {slowest:.2f} s, no 5xx",
    )


def test_a_redis_that_stands_still_delays_little_and_shows_nothing_old_beyond_the_bound(
    service: Deployment, note: Note
) -> None:
    assert service.redis is not None
    path = create_item(service)
    until_hit(service, path)
    service.redis.pause()
    changed = change(service, path, 8)
    degraded = read_everywhere(service, path)
    service.redis.resume()
    time.sleep(CACHE_TTL_SECONDS)
    in_bound = read_everywhere(service, path)
    seconds = until_hit(service, path)

    assert changed.status == 200
    assert {answer.status for answer in degraded} == {200}
    assert {price_in(answer) for answer in degraded + in_bound} == {"8"}
    slowest = max(answer.seconds for answer in [changed, *degraded])
    assert slowest < DEGRADED_SECONDS
    note("Redis stands still", slowest, f"slowest answer meanwhile; a hit {seconds:.2f} s after the bound")

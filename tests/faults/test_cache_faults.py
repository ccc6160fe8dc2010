"""Redis dies, freezes and comes back: reads continue, and none is stale beyond the bound."""

from __future__ import annotations

import time

import pytest

from tests.faults.clients import GRACE_SECONDS, ITEMS, Answer, Load, ask, draft, new_client
from tests.faults.deployment import CACHE_TTL_SECONDS, WORKERS, Deployment
from tests.faults.plugin import Note

pytestmark = [
    pytest.mark.only(cache={"redis"}),
    pytest.mark.depends("database", "deployment"),
]
RECOVERY_SECONDS = 10.0
# The service gives up on a hanging Redis after 0.3 s: app/forge/cache/redis_connection.py.
DEGRADED_SECONDS = 0.3 + GRACE_SECONDS


def create_item(service: Deployment) -> str:
    """Return the path of a new item."""
    with new_client(service.url) as client:
        return ask(client, "POST", ITEMS, draft(price_cents=0)).headers["Location"]


def read_everywhere(service: Deployment, path: str) -> list[Answer]:
    """Return the results of reads on new connections, enough to reach every worker."""
    answers = []
    for _ in range(8 * WORKERS):
        with new_client(service.url) as client:
            answers.append(ask(client, "GET", path, Connection="close"))
    return answers


def change(service: Deployment, path: str, price: int) -> Answer:
    """Return the response to a new price."""
    with new_client(service.url) as client:
        return ask(client, "PATCH", path, {"price_cents": price})


def price_in(answer: Answer) -> str:
    """Return the price in a response, as text."""
    return answer.text.partition('"price_cents":')[2].partition(",")[0]


def until_hit(service: Deployment, path: str) -> float:
    """Return the seconds until a read comes from the cache again."""
    began_at = time.monotonic()
    while "hit" not in {answer.headers.get("X-Cache") for answer in read_everywhere(service, path)}:
        assert time.monotonic() - began_at < RECOVERY_SECONDS
    return time.monotonic() - began_at


def test_without_redis_reads_come_from_the_database_and_none_is_stale_after_its_return(
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
        f"from its return to the next hit; slowest response {slowest:.2f} s, no 5xx",
    )


def test_a_frozen_redis_delays_little_and_no_read_is_stale_beyond_the_bound(
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
    note("Redis frozen", slowest, f"slowest response during that time; a hit {seconds:.2f} s after the bound")

"""Metrics over all workers, while workers die and servers stand still."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.clients import ITEMS, at_once, create, draft, new_client
from tests.faults.deployment import POLL_SECONDS, POOL_SIZE, WORKERS, Deployment

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
SETTLED_SECONDS = 20.0


def metrics(service: Deployment) -> dict[str, float]:
    """Return every sample by its name and labels."""
    with new_client(service.url) as client:
        text = client.get("/metrics").text
    return {f"{name}{{{labels}}}": float(value) for name, labels, value in SAMPLE.findall(text)}


def total(samples: dict[str, float], name: str, *labels: str) -> float:
    """Return the sum of the samples of this name that have these labels."""
    wanted = [
        value
        for key, value in samples.items()
        if key.startswith(f"{name}{{") and all(label in key for label in labels)
    ]
    assert wanted, f"{name} with {labels} is not among {sorted(samples)}"
    return sum(wanted)


def eventually(service: Deployment, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Return the metrics once they are so: workers record their parts once a second."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while not holds(samples := metrics(service)):
        assert time.monotonic() < deadline, samples
        time.sleep(POLL_SECONDS * 10)
    return samples


def test_a_worker_that_dies_leaves_its_counts_and_takes_its_gauges_along(service: Deployment) -> None:
    service.running()
    with new_client(service.url) as client:
        for _ in range(20):
            client.get(ITEMS)
    counted, route = "http_server_request_duration_seconds_count", f'http_route="{ITEMS}"'
    before = eventually(service, lambda samples: "target_info" in str(samples))
    assert total(before, counted, route) >= 20
    gauges = {
        name
        for name in before
        if name.startswith(("db_client_connection_max", "target_info", "dependency_up"))
    }
    assert len(gauges) >= 2

    victim = service.kill_worker()
    service.wait_until_ready()
    after = eventually(service, lambda samples: victim not in service.workers() and gauges <= samples.keys())
    assert total(after, counted, route) >= total(before, counted, route)
    assert {name: after[name] for name in gauges} == {name: before[name] for name in gauges}


@pytest.mark.depends("deployment")
def test_a_service_names_what_it_runs(service: Deployment) -> None:
    service.running()
    samples = eventually(service, lambda samples: "target_info" in str(samples))
    (name,) = [name for name in samples if name.startswith("target_info")]
    assert re.search(r'process_runtime_version="3\.\d+\.\d+"', name)
    assert samples[name] == 1


def test_an_outage_is_seen_in_the_metrics(service: Deployment) -> None:
    service.running()
    eventually(service, lambda samples: total(samples, "dependency_up", 'dependency="database"') == 1)
    with service.database.frozen():
        at_once(service.url, 4, lambda client, _: create(client))
        down = eventually(
            service, lambda samples: total(samples, "dependency_up", 'dependency="database"') == 0
        )
    assert total(down, "dependency_failures_total", 'dependency="database"') >= 1
    eventually(service, lambda samples: total(samples, "dependency_up", 'dependency="database"') == 1)


@pytest.mark.only(database={"postgres", "mongodb"})
def test_requests_that_wait_for_a_connection_are_seen_in_the_metrics(service: Deployment) -> None:
    service.running(DATABASE_TIMEOUT_SECONDS=10)
    count = WORKERS * POOL_SIZE * 4
    with ThreadPoolExecutor(1) as threads:
        with service.database.frozen():
            asking = threads.submit(at_once, service.url, count, lambda client, _: create(client))
            waiting = eventually(
                service, lambda samples: total(samples, "db_client_connection_pending_requests") > 0
            )
            assert total(waiting, "db_client_connection_max") == WORKERS * POOL_SIZE
            used = total(waiting, "db_client_connection_count", 'db_client_connection_state="used"')
            assert POOL_SIZE <= used <= WORKERS * POOL_SIZE
        statuses = [answer.status for answer in asking.result()]
    assert set(statuses) <= {201, 503}
    eventually(service, lambda samples: total(samples, "db_client_connection_pending_requests") == 0)


@pytest.mark.only(database={"postgres"})
def test_the_time_that_requests_waited_is_counted(service: Deployment) -> None:
    service.running(DATABASE_POOL_SIZE=1)
    before = metrics(service)
    at_once(service.url, 64, lambda client, _: create(client))

    def grew(samples: dict[str, float], name: str) -> bool:
        return total(samples, name) > sum(value for key, value in before.items() if key.startswith(name))

    eventually(service, lambda samples: grew(samples, "db_client_connection_waits_total"))
    eventually(service, lambda samples: grew(samples, "db_client_connection_wait_seconds_total"))


@pytest.mark.only(database={"sqlite"})
def test_writes_that_share_a_commit_are_counted(service: Deployment) -> None:
    service.running()
    before = eventually(service, lambda samples: "sqlite_committed_writes_total" in str(samples))
    at_once(service.url, 32, lambda client, _: create(client))
    names = "sqlite_committed_writes_total", "sqlite_commits_total"
    after = eventually(service, lambda samples: total(samples, names[0]) >= total(before, names[0]) + 32)
    writes, commits = (total(after, name) - total(before, name) for name in names)
    assert (writes, 1 <= commits <= 32) == (32, True)
    assert total(after, "sqlite_pending_writes") == 0


@pytest.mark.only(cache={"ttl", "redis"})
@pytest.mark.depends("cache", "deployment")
def test_hits_and_misses_of_the_cache_are_counted(service: Deployment) -> None:
    service.running()
    names, labels = ("cache_hits_total", "cache_misses_total"), 'resource="items"'
    before = eventually(service, lambda samples: "cache_hits_total" in str(samples))
    with new_client(service.url) as client:
        path = f"{ITEMS}/{client.post(ITEMS, json=draft()).json()['id']}"
        said = [client.get(path).headers["X-Cache"] for _ in range(20)]
    wanted = [
        total(before, name, labels) + said.count(word)
        for name, word in zip(names, ("hit", "miss"), strict=True)
    ]
    after = eventually(service, lambda samples: [total(samples, name, labels) for name in names] == wanted)
    assert total(after, "cache_flights", labels) == 0

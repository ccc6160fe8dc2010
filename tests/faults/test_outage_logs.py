"""The log of an outage: one line in each worker with its cause, and one when it is over."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import httpx2
import pytest
import redis

from testkit.servers import RedisServer
from tests.faults.clients import at_once, create, new_client, read_absent
from tests.faults.deployment import WORKERS, Deployment

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))

NOTICED_SECONDS = 20.0
BEGIN = "Outage of the {}: "
END = "The {} is available again after "


def lines_since(service: Deployment, start: int, text: str) -> list[str]:
    """Return the lines with this text that were logged after `start`."""
    with service.log.open("rb") as log:
        log.seek(start)
        return [line for line in log.read().decode(errors="replace").split("\n") if text in line]


def until(service: Deployment, start: int, text: str, count: int) -> list[str]:
    """Return the lines with this text when there are this many of them."""
    deadline = time.monotonic() + NOTICED_SECONDS
    while len(found := lines_since(service, start, text)) < count:
        assert time.monotonic() < deadline, f"{text} {count} times: {service.last_words()}"
        time.sleep(0.1)
    return found


def must_be_one_outage(service: Deployment, start: int, dependency: str) -> list[str]:
    """Return the lines about its start, at most one per worker, when all workers have logged the end."""
    began = until(service, start, BEGIN.format(dependency), 1)
    ended = until(service, start, END.format(dependency), len(began))
    assert len(lines_since(service, start, BEGIN.format(dependency))) == len(ended) <= WORKERS
    assert not lines_since(service, start, "Traceback")
    return began


def test_an_outage_of_the_database_is_logged_once_with_its_cause_and_so_is_its_end(
    service: Deployment,
) -> None:
    start = service.log.stat().st_size
    with service.database.frozen():
        answers = at_once(service.url, 12, lambda client, _: create(client))

    assert {answer.status for answer in answers} == {503}
    began = must_be_one_outage(service, start, "database")
    assert all(re.search("Error|Timeout", line) for line in began), began
    assert not any(secret in line for line in began for secret in passwords(service)), began


@pytest.mark.only(database={"postgres", "mongodb"})
def test_a_database_that_was_killed_is_logged_once_with_its_cause_and_so_is_its_return(
    service: Deployment,
) -> None:
    assert service.database.server is not None
    start = service.log.stat().st_size
    service.database.server.kill()
    try:
        answers = at_once(service.url, 12, lambda client, _: read_absent(client))
        with new_client(service.url) as client:
            ready = client.get("/health/ready")
    finally:
        service.database.server.start()

    assert {answer.status for answer in answers} == {503}
    assert ready.status_code == 503
    began = must_be_one_outage(service, start, "database")
    assert all(re.search("Error|Timeout", line) for line in began), began


@contextmanager
def killed(server: RedisServer) -> Iterator[None]:
    """Make the cache stop responding."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def closed_to_the_service(server: RedisServer) -> Iterator[None]:
    """Make the cache require a password that the service does not have."""
    with redis.Redis.from_url(server.url) as client:
        client.config_set("requirepass", "unknown")
        try:
            client.client_kill_filter(_type="normal", skipme=True)
            yield
        finally:
            client.config_set("requirepass", "")


@pytest.mark.only(cache={"redis"})
@pytest.mark.parametrize("fault", [killed, closed_to_the_service])
def test_an_outage_of_the_cache_is_logged_once_with_its_cause_and_the_service_continues(
    service: Deployment, fault: Callable[[RedisServer], AbstractContextManager[None]]
) -> None:
    assert service.redis is not None
    start = service.log.stat().st_size
    with fault(service.redis):
        until(service, start, BEGIN.format("cache"), WORKERS)
        answers = at_once(service.url, 12, lambda client, _: read_absent(client))
        with new_client(service.url) as client:
            ready = client.get("/health/ready").json()["status"]

    assert {answer.status for answer in answers} == {404}
    assert ready == "degraded"
    began = must_be_one_outage(service, start, "cache")
    assert all(re.search("Error|Timeout", line) for line in began), began
    assert not any("unknown" in line for line in began), began


def cut_off(service: Deployment, way: str, kind: str, request_id: str) -> list[str]:
    """Return the log lines about a response that fails midway, whose client sees that the end is missing."""
    start = service.log.stat().st_size
    path, headers = f"/owner/{way}/cut-off/{kind}", {"X-Request-ID": request_id}
    with new_client(service.url) as client, pytest.raises(httpx2.RemoteProtocolError):
        client.get(path, headers=headers)
    return until(service, start, request_id, 1)


@pytest.mark.depends("compression", "deployment")
@pytest.mark.parametrize("way", ["directly", "by-fastapi"])
def test_a_response_that_fails_midway_is_cut_off_and_logged_once_with_its_stack(
    service: Deployment, way: str
) -> None:
    (line,) = cut_off(service, way, "mistake", request_id := uuid4().hex)
    logged = json.loads(line)
    assert (logged["level"], logged["request_id"]) == ("ERROR", request_id)
    assert "ValueError: broken midway" in logged["exception"]


@pytest.mark.depends("compression", "deployment")
@pytest.mark.parametrize("way", ["directly", "by-fastapi"])
def test_an_outage_midway_cuts_the_response_off_and_is_logged_as_one(service: Deployment, way: str) -> None:
    start = service.log.stat().st_size
    cut_off(service, way, "outage", uuid4().hex)
    (began,) = must_be_one_outage(service, start, "database")
    assert "The database did not respond. ConnectionResetError: gone midway" in began


def passwords(service: Deployment) -> list[str]:
    """Return the secrets that must not be in a log either."""
    urls = [str(value) for name, value in service.variables.items() if name.endswith("_URL")]
    return [url.partition("://")[2].rpartition("@")[0].partition(":")[2] for url in urls if "@" in url]

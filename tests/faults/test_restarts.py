"""Restarts and reloads under load, as systemd makes them: no request fails."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPResponse
from itertools import pairwise

import pytest

from tests.faults.clients import Load
from tests.faults.deployment import BOOT_SECONDS, POLL_SECONDS, WORKERS, Deployment
from tests.faults.plugin import Note

# The tests take minutes, and the database makes no difference.
pytestmark = pytest.mark.depends("deployment")

RESTARTS = 20
CLIENTS = 4
BACKLOG = 2_048
# Between two reloads: requests of the new workers.
SERVING_SECONDS = 0.2
REQUEST = b"GET /health/live HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def kept_open(deployment: Deployment) -> Iterator[Deployment]:
    """A service whose port the test keeps open while it restarts, as systemd does."""
    deployment.kill()
    with closing(socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)) as listening:
        again = Deployment(deployment.run, deployment.database, deployment.redis, deployment.variables)
        again.port = listening.getsockname()[1]
        again.passed = listening
        yield again
        again.kill()


def replaced(service: Deployment, before: list[int]) -> None:
    """Return when no worker from before is left and all new ones serve."""
    deadline = time.monotonic() + BOOT_SECONDS
    while set(before) & set(service.workers()) or len(service.workers()) < WORKERS:
        assert time.monotonic() < deadline, service.last_words()
        time.sleep(POLL_SECONDS)
    service.wait_until_ready()


def measured(load: Load) -> str:
    """Return the number of requests and the longest time without a response."""
    ended = sorted(answer.ended_at for answer in load.answers)
    gap = max(later - earlier for earlier, later in pairwise(ended))
    return f"{len(ended)} requests, none failed; longest time without a response {gap:.1f} s"


def failed(load: Load) -> list[object]:
    """Return the responses that no client should get."""
    return [answer for answer in load.answers if answer.status not in {201, 404}]


def test_no_request_fails_while_the_service_restarts(kept_open: Deployment, note: Note) -> None:
    started_at = time.monotonic()
    kept_open.start()
    with Load(kept_open.url, CLIENTS) as load:
        for _ in range(RESTARTS):
            served = len(load.answers)
            code, _ = kept_open.stop()
            assert code == 0, kept_open.last_words()
            kept_open.start()
            load.wait_for_many(served + CLIENTS, lambda answer: answer.status in {201, 404}, BOOT_SECONDS)
    assert failed(load) == []
    assert load.acknowledged() <= kept_open.stored_names()
    note(f"{RESTARTS} restarts under load", time.monotonic() - started_at, measured(load))


def test_no_request_fails_while_the_workers_are_replaced(service: Deployment, note: Note) -> None:
    started_at = time.monotonic()
    with Load(service.url, CLIENTS) as load:
        for _ in range(RESTARTS):
            before = service.workers() if service.variant["deployment"] != "nginx" else []
            service.starts += len(before)
            os.kill(service.pid, signal.SIGHUP)
            replaced(service, before)
            time.sleep(SERVING_SECONDS)
    assert failed(load) == []
    note(f"{RESTARTS} reloads under load", time.monotonic() - started_at, measured(load))


def response_to(request: bytes, client: socket.socket) -> HTTPResponse:
    """Return the response on this connection, whose body has been read."""
    client.sendall(request)
    response = HTTPResponse(client)
    response.begin()
    response.read()
    return response


# Nginx has `keepalive_min_timeout` for it, since 1.27.4.
@pytest.mark.only(deployment={"uvicorn", "gunicorn"})
def test_a_request_on_an_idle_connection_is_answered_while_the_service_stops(kept_open: Deployment) -> None:
    kept_open.start()
    assert kept_open.process is not None
    with socket.create_connection(("127.0.0.1", kept_open.port), timeout=10) as client:
        assert response_to(REQUEST, client).status == 200
        kept_open.process.send_signal(signal.SIGTERM)
        stopping_at = time.monotonic()
        log = kept_open.log
        # Only one of the workers has the connection.
        while log.read_bytes()[kept_open.log_begins_at :].count(b"Shutting down") < WORKERS:
            assert time.monotonic() - stopping_at < BOOT_SECONDS, kept_open.last_words()
            time.sleep(POLL_SECONDS / 10)
        response = response_to(REQUEST, client)
    assert (response.status, response.getheader("connection")) == (200, "close")
    assert kept_open.process.wait(BOOT_SECONDS) == 0

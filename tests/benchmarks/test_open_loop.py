"""The open-loop load: every request is sent on schedule, and its latency counts from there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastforge_kit.generator import is_complete

from benchmarks.load.open_loop import Job, Schedule, send

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_requests_are_due_at_even_intervals() -> None:
    schedule = Schedule(started_at=10.0, per_second=4.0, count=3)
    assert schedule.take_due(9.9) == []
    assert schedule.seconds_to_next(9.9) == pytest.approx(0.1)
    assert schedule.take_due(10.3) == [0, 1]
    assert schedule.take_due(10.4) == []
    assert not schedule.is_over
    assert schedule.take_due(99.0) == [2]
    assert schedule.is_over


@pytest.mark.parametrize("size", range(len(ANSWER)))
def test_a_part_of_a_response_is_not_complete(size: int) -> None:
    assert not is_complete(ANSWER[:size])


def test_a_response_is_complete_with_its_body_or_without_one() -> None:
    assert is_complete(ANSWER)
    assert is_complete(b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n")


@contextmanager
def _service(answer: bytes, pause_seconds: float = 0.0) -> Iterator[int]:
    """Yield the port of a service on one connection that pauses before its first response."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4_096)
                time.sleep(pause_seconds)
                connection.sendall(answer)
                while connection.recv(4_096):
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


def _job(port: int) -> Job:
    return Job("127.0.0.1", port, [REQUEST], 200, connections=1, per_second=100.0, seconds=0.2)


def test_waiting_time_counts_as_latency() -> None:
    # The service stalls for 0.3 s; counted from sending, only one request would be slow.
    with _service(ANSWER, pause_seconds=0.3) as port:
        outcome = send(_job(port))
    assert len(outcome.latencies_ms) == len(outcome.late_ms) == 20
    assert outcome.errors == 0
    assert min(outcome.latencies_ms) > 50


def test_a_response_with_another_status_is_an_error() -> None:
    with _service(ANSWER.replace(b"200", b"503")) as port:
        assert send(_job(port)).errors == 20

"""Clients that connect and send nothing, that send slowly, and that send too much."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.faults.clients import create, new_client
from tests.faults.deployment import Deployment
from tests.faults.plugin import Note
from tests.faults.processes import descendants, forget_peak, peak_bytes

# What a client sends, its server reads.
pytestmark = pytest.mark.depends("deployment")

SILENT_CLIENTS = 1_000
SLOW_CLIENTS = 50
SERVED_SECONDS = 3.0
# deploy/nginx/nginx.conf: client_header_timeout, and some time for a busy machine.
HEADER_SECONDS = 10 + 5
HELD_SECONDS = 1.0
BODY_BYTES = 64 * 2**20
CHUNK = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
# The additional memory that refusing a body may take: the limit, 4 MiB, and some copies of it.
MORE_BYTES = 24 * 2**20
NOTHING_IN_FRONT = "no proxy closes them (uvicorn waits for a head forever), but they block no worker"


@contextmanager
def connections(service: Deployment, count: int) -> Iterator[list[socket.socket]]:
    """Yield this many open connections."""
    address = ("127.0.0.1", service.port)
    with ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(address, timeout=10)) for _ in range(count)]


def slowest_of_ten(service: Deployment) -> float:
    """Return the time of the slowest of ten creations, each on a separate connection."""
    seconds = []
    for _ in range(10):
        with new_client(service.url) as client:
            answer = create(client)
        assert answer.status == 201, answer
        seconds.append(answer.seconds)
    return max(seconds)


def test_clients_that_connect_and_send_nothing_do_not_delay_others(service: Deployment, note: Note) -> None:
    with connections(service, SILENT_CLIENTS):
        slowest = slowest_of_ten(service)

    assert slowest < SERVED_SECONDS
    note(f"{SILENT_CLIENTS} clients that send nothing", slowest, "slowest of 10 other requests")


def drip(clients: list[socket.socket], drop: bytes) -> None:
    """Send a little from each client that is still connected."""
    for client in clients:
        with suppress(OSError):
            client.sendall(drop)


def closed(clients: list[socket.socket]) -> list[socket.socket]:
    """Return the clients that got a response or whose connection was closed."""

    def is_closed(client: socket.socket) -> bool:
        client.setblocking(False)
        try:
            client.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    return [client for client in clients if is_closed(client)]


def test_clients_whose_heads_never_end_do_not_delay_others(service: Deployment, note: Note) -> None:
    with connections(service, SLOW_CLIENTS) as clients:
        drip(clients, b"GET /health/live HTTP/1.1\r\nHost: slow\r\n")
        drip(clients, b"X-Drop: 1\r\n")
        slowest = slowest_of_ten(service)

    assert slowest < SERVED_SECONDS
    note(f"{SLOW_CLIENTS} heads that never end", slowest, "slowest of 10 other requests")


@pytest.mark.only(deployment={"nginx"})
def test_nginx_hangs_up_on_clients_whose_heads_never_end(service: Deployment, note: Note) -> None:
    began_at = time.monotonic()
    with connections(service, SLOW_CLIENTS) as clients:
        drip(clients, b"GET /health/live HTTP/1.1\r\nHost: slow\r\n")
        left = clients
        while left and time.monotonic() - began_at < HEADER_SECONDS:
            drip(left, b"X-Drop: 1\r\n")
            time.sleep(0.5)
            gone = closed(left)
            left = [client for client in left if client not in gone]
    assert not left
    note("heads that never end, behind Nginx", time.monotonic() - began_at, "until all were disconnected")


@pytest.mark.only(deployment={"uvicorn", "gunicorn"})
def test_without_a_proxy_heads_that_never_end_hold_their_connections(service: Deployment, note: Note) -> None:
    """The table documents it for services that face the internet without a proxy."""
    with connections(service, SLOW_CLIENTS) as clients:
        drip(clients, b"GET /health/live HTTP/1.1\r\nHost: slow\r\n")
        time.sleep(HELD_SECONDS)
        gone = len(closed(clients))
    note(
        "heads that never end, without a proxy",
        HELD_SECONDS,
        f"{gone} of {SLOW_CLIENTS} disconnected: {NOTHING_IN_FRONT}",
    )


def send_body(service: Deployment, head: str, piece: bytes, count: int) -> tuple[bytes, float]:
    """Send a body until the service responds; return the response's start, and the seconds until then."""
    began_at = time.monotonic()
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as client:
        client.sendall(
            f"POST /api/v1/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}".encode()
        )
        with suppress(OSError):
            for _ in range(count):
                client.sendall(piece)
            client.sendall(b"0\r\n\r\n")
        with suppress(OSError):
            return client.recv(4096), time.monotonic() - began_at
    return b"", time.monotonic() - began_at


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (f"Content-Length: {BODY_BYTES}\r\n\r\n", b"x" * 2**16),
        ("Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    ],
    ids=["announced", "chunked"],
)
def test_a_body_of_64_mb_is_refused_without_being_kept(
    head: str, piece: bytes, service: Deployment, note: Note, request: pytest.FixtureRequest
) -> None:
    slowest_of_ten(service)
    processes = descendants(service.pid)
    for pid in processes:
        forget_peak(pid)
    before = {pid: peak_bytes(pid) for pid in processes}

    answer, seconds = send_body(service, head, piece, BODY_BYTES // 2**16)

    more = max(peak_bytes(pid) - before[pid] for pid in processes)
    # A client that is refused while it sends may see the connection close before it sees the response.
    assert answer[:12] in {b"HTTP/1.1 413", b""}
    assert more < MORE_BYTES
    assert slowest_of_ten(service) < SERVED_SECONDS
    told = answer[9:12].decode() or "connection closed"
    note(
        f"body of 64 MB, {request.node.callspec.id.split('-')[-1]}",
        seconds,
        f"{told}; {more / 2**20:.1f} MiB more memory",
    )

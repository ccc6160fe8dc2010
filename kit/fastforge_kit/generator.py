"""The load: requests over open connections, each sent when the previous response is complete.

`python -m fastforge_kit.generator` is a separate process, so that its CPU time does not count as the service's. It reads a
job from standard input and writes an outcome to standard output.

It uses plain sockets, because an HTTP client in Python takes more time for a request than the service does. Sending a
prepared request and finding the end of its response takes about a third of the service's time for its cheapest response.
This is too much if many more cores serve than generate, so each outcome reports how busy its generator was. A figure that
the generator may have limited does not count against the service.
"""

import json
import selectors
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from time import perf_counter, process_time

# Digits in a request's body, which are replaced by another number each time it is sent.
COUNTER = "000000000000"
# One for all: new memory of this size for each response takes as long as the rest of a request.
RECEIVED = memoryview(bytearray(256 * 1024))
# For the last responses: a service that hangs must not hang the measurement.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Job:
    """The requests to send, to a host and a port, and for how long; the counter starts at `first`.

    `sent_once` ends the job when all requests were sent; otherwise they start over.
    """

    host: str
    port: int
    requests: list[str]
    status: int
    connections: int
    seconds: float
    first: int
    sent_once: bool = False


@dataclass
class Outcome:
    """The latency of every response in milliseconds, and the number of requests that failed."""

    latencies_ms: list[float] = field(default_factory=list)
    errors: int = 0
    seconds: float = 0.0
    # The share of the time in which the generator itself was busy; near 1 it is the bottleneck.
    busy: float = 0.0


class Connection:
    """A connection that waits for one response at a time."""

    def __init__(self, host: str, port: int, status: int) -> None:
        self.socket = socket.create_connection((host, port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expected = b"HTTP/1.1 %d " % status
        self._received = b""
        self._due_at = 0.0

    def send(self, request: bytes, due_at: float | None = None) -> None:
        """Send the request, whose latency counts from when it was due, or from now."""
        self._received = b""
        self._due_at = perf_counter() if due_at is None else due_at
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Return whether the response is complete. Raises `OSError` if the connection is lost."""
        length = self.socket.recv_into(RECEIVED)
        if not length:
            raise ConnectionResetError
        received = bytes(RECEIVED[:length])
        self._received = self._received + received if self._received else received
        return is_complete(self._received)

    def is_as_expected(self) -> bool:
        """Return whether the response has the right status."""
        return self._received.startswith(self._expected)

    def latency_ms(self) -> float:
        """Return the milliseconds since the request was sent, or due."""
        return (perf_counter() - self._due_at) * 1_000


def is_complete(response: bytes) -> bool:
    """Return whether these bytes are a complete response of a service that declares the length of its bodies."""
    head_end = response.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    start = response.find(b"content-length:", 0, head_end)
    if start < 0:
        # Nginx writes it in capitals.
        start = response[:head_end].lower().find(b"content-length:")
    if start < 0:
        # The last chunk of a stream is empty. Neither a 304 nor a 204 has a body.
        is_stream = b"transfer-encoding: chunked" in response[:head_end].lower()
        return not is_stream or response.endswith(b"\r\n0\r\n\r\n")
    end = response.find(b"\r\n", start)
    return len(response) >= head_end + 4 + int(response[start + 15 : end])


def send(job: Job) -> Outcome:
    """Send the requests in turn until the time is up, then wait for the remaining responses."""
    outcome = Outcome()
    requests = _numbered(job)
    with selectors.DefaultSelector() as selector:
        started_at, cpu_before = perf_counter(), process_time()
        for request in islice(requests, job.connections):
            _open(job, selector, request)
        _exchange(job, selector, requests, outcome)
        outcome.seconds = perf_counter() - started_at
        outcome.busy = (process_time() - cpu_before) / outcome.seconds
    return outcome


def _numbered(job: Job) -> Iterator[bytes]:
    mark = COUNTER.encode()
    requests = [request.encode() for request in job.requests]
    for number, request in enumerate(requests if job.sent_once else cycle(requests), job.first):
        yield request.replace(mark, b"%012d" % number) if mark in request else request


def _open(job: Job, selector: selectors.BaseSelector, request: bytes) -> None:
    connection = Connection(job.host, job.port, job.status)
    selector.register(connection.socket, selectors.EVENT_READ, connection)
    connection.send(request)


def _exchange(
    job: Job, selector: selectors.BaseSelector, requests: Iterator[bytes], outcome: Outcome
) -> None:
    stop_at = perf_counter() + job.seconds
    while selector.get_map():
        ready = selector.select(PATIENCE_SECONDS)
        if not ready:
            outcome.errors += len(selector.get_map())
            return
        more = perf_counter() < stop_at
        for key, _ in ready:
            connection: Connection = key.data
            try:
                if not connection.receive():
                    continue
                outcome.latencies_ms.append(connection.latency_ms())
                outcome.errors += not connection.is_as_expected()
                if more and (request := next(requests, None)):
                    connection.send(request)
                    continue
            except OSError:
                outcome.errors += 1
                if more and (request := next(requests, None)):
                    _open(job, selector, request)
            selector.unregister(connection.socket)
            connection.socket.close()


def main() -> None:
    """Do the job on standard input."""
    job = Job(**json.load(sys.stdin))
    try:
        outcome = send(job)
    except OSError as error:
        sys.exit(f"The service cannot be reached: {error}")
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()

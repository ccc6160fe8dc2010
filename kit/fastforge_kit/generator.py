"""The load: requests over connections that stay open, each sent when the answer before it is complete.

A process of its own, `python -m fastforge_kit.generator`, so that what it costs is not the service's. It reads a job
from standard input and writes an outcome to standard output.

Plain sockets, because an HTTP client in Python needs more time for a request than the service does: sending a ready
request and looking for the end of its answer takes about a third of what the service needs for its cheapest. That does
not suffice where many more cores serve than generate, so each outcome says how busy its generator was, and what the
generator may have limited is not decided against the service.
"""

import json
import selectors
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from time import perf_counter, process_time

# Digits in a request's body, which are another number each time it is sent.
COUNTER = "000000000000"
# One for all: memory for so many bytes anew for each answer takes as long as all the rest of a request.
RECEIVED = memoryview(bytearray(256 * 1024))
# How long the last answers are waited for: a service that hangs must not hang the measurement.
PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Job:
    """What to send, to whom, for how long; `first` is where the counter starts.

    `sent_once` ends the job when the requests are used up, else they begin anew.
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
    """What came back: the latency of every answer in milliseconds, and the requests that failed."""

    latencies_ms: list[float] = field(default_factory=list)
    errors: int = 0
    seconds: float = 0.0
    # The share of the time in which the generator itself was busy; near 1 it is the bottleneck.
    busy: float = 0.0


class _Connection:
    """One connection that waits for one answer."""

    def __init__(self, job: Job) -> None:
        self.socket = socket.create_connection((job.host, job.port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._expected = b"HTTP/1.1 %d " % job.status
        self._received = b""
        self._sent_at = 0.0

    def ask(self, request: bytes) -> None:
        self._received = b""
        self._sent_at = perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Return whether the answer is complete. Raises `OSError` where the connection is lost."""
        length = self.socket.recv_into(RECEIVED)
        if not length:
            raise ConnectionResetError
        received = bytes(RECEIVED[:length])
        self._received = self._received + received if self._received else received
        return is_complete(self._received)

    def is_as_expected(self) -> bool:
        return self._received.startswith(self._expected)

    def latency_ms(self) -> float:
        return (perf_counter() - self._sent_at) * 1_000


def is_complete(answer: bytes) -> bool:
    """Return whether these bytes are a whole answer of a service that says how long its bodies are."""
    head_end = answer.find(b"\r\n\r\n")
    if head_end < 0:
        return False
    start = answer.find(b"content-length:", 0, head_end)
    if start < 0:
        # Nginx writes it in capitals.
        start = answer[:head_end].lower().find(b"content-length:")
    if start < 0:
        # The last chunk of a stream is empty. Neither a 304 nor a 204 has a body.
        is_stream = b"transfer-encoding: chunked" in answer[:head_end].lower()
        return not is_stream or answer.endswith(b"\r\n0\r\n\r\n")
    end = answer.find(b"\r\n", start)
    return len(answer) >= head_end + 4 + int(answer[start + 15 : end])


def send(job: Job) -> Outcome:
    """Send the requests in turn until the time is up, then wait for the answers that are still to come."""
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
    connection = _Connection(job)
    selector.register(connection.socket, selectors.EVENT_READ, connection)
    connection.ask(request)


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
            connection: _Connection = key.data
            try:
                if not connection.receive():
                    continue
                outcome.latencies_ms.append(connection.latency_ms())
                outcome.errors += not connection.is_as_expected()
                if more and (request := next(requests, None)):
                    connection.ask(request)
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

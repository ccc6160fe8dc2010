"""Load on a fixed schedule: `python -m benchmarks.open_loop` sends whether or not answers come.

Latency counts from when a request was due, so a service that stands still is charged for all that had to wait
("coordinated omission": https://github.com/giltene/wrk2). A process of its own on plain sockets, which reads
a job from standard input and writes an outcome to standard output.
"""

import json
import re
import selectors
import socket
import sys
from collections import deque
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import cycle
from time import perf_counter, process_time

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
# No more than answers have: memory for 256 KiB anew for each takes as long as all the rest of a request.
RECEIVED_BYTES = 16 * 1024
# How long the last answers are waited for: a service that hangs must not hang the measurement.
PATIENCE_SECONDS = 5.0
# Until the first request is due, so that connecting does not make it late.
LEAD_SECONDS = 0.1


@dataclass(frozen=True)
class Job:
    """What to send, to whom, how often, for how long."""

    host: str
    port: int
    requests: list[str]
    status: int
    connections: int
    per_second: float
    seconds: float

    @property
    def count(self) -> int:
        """How many requests that makes."""
        return int(self.per_second * self.seconds)


@dataclass
class Outcome:
    """What came back: latencies in milliseconds, in the order of the schedule, without those that failed."""

    latencies_ms: list[float] = field(default_factory=list)
    errors: int = 0
    # The share of the time in which the generator itself was busy; near 1 it is the bottleneck.
    busy: float = 0.0
    # How late the generator itself was with each request, where the machine did not let it run.
    late_ms: list[float] = field(default_factory=list)


@dataclass
class Schedule:
    """When each request is due, and how many were so far."""

    started_at: float
    per_second: float
    count: int
    taken: int = 0

    def due_at(self, number: int) -> float:
        """Return when request `number` is due."""
        return self.started_at + number / self.per_second

    def take_due(self, now: float) -> list[int]:
        """Return the numbers of the requests that have become due."""
        first = self.taken
        while self.taken < self.count and self.due_at(self.taken) <= now:
            self.taken += 1
        return list(range(first, self.taken))

    @property
    def is_over(self) -> bool:
        """Whether every request was due."""
        return self.taken == self.count

    def seconds_to_next(self, now: float) -> float:
        """Return how long to wait for the next one, or for answers when there is none."""
        if self.is_over:
            return PATIENCE_SECONDS
        return max(0.0, self.due_at(self.taken) - now)


class _Connection:
    """One connection that waits for at most one answer."""

    def __init__(self, job: Job) -> None:
        self.socket = socket.create_connection((job.host, job.port), PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = 0
        self.received = b""

    def ask(self, request: bytes, number: int) -> None:
        self.number, self.received = number, b""
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Return whether the answer is complete. Raises `OSError` where the connection is lost."""
        more = self.socket.recv(RECEIVED_BYTES)
        if not more:
            raise ConnectionResetError
        self.received += more
        return is_complete(self.received)


def is_complete(answer: bytes) -> bool:
    """Return whether these bytes are a whole answer of a service that says how long its bodies are."""
    head, end, body = answer.partition(b"\r\n\r\n")
    length = CONTENT_LENGTH.search(head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


class _Load:
    """The connections, and what became of the requests so far."""

    def __init__(self, job: Job, selector: selectors.BaseSelector, stack: ExitStack) -> None:
        self.outcome = Outcome()
        self.latencies_ms: dict[int, float] = {}
        self._selector = selector
        self._requests = cycle([request.encode() for request in job.requests])
        self._expected = b"HTTP/1.1 %d " % job.status
        self._waiting: deque[int] = deque()
        # In turn, because Uvicorn closes those that it hears nothing of for five seconds.
        self._free = deque(_Connection(job) for _ in range(job.connections))
        for connection in self._free:
            stack.callback(connection.socket.close)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._schedule = Schedule(perf_counter() + LEAD_SECONDS, job.per_second, job.count)

    @property
    def is_done(self) -> bool:
        return len(self.latencies_ms) == self._schedule.count

    def ask(self) -> None:
        """Send what is due, as far as connections are free."""
        now = perf_counter()
        due = self._schedule.take_due(now)
        self.outcome.late_ms += [1_000 * (now - self._schedule.due_at(number)) for number in due]
        self._waiting.extend(due)
        while self._waiting and self._free:
            self._free.popleft().ask(next(self._requests), self._waiting.popleft())

    def receive(self) -> bool:
        """Take the answers that come until the next request is due; return whether more may come."""
        ready = self._selector.select(self._schedule.seconds_to_next(perf_counter()))
        if not ready and self._schedule.is_over:
            return False
        for key, _ in ready:
            if key.data.receive():
                self._note(key.data)
        return True

    def _note(self, connection: _Connection) -> None:
        due_at = self._schedule.due_at(connection.number)
        self.latencies_ms[connection.number] = 1_000 * (perf_counter() - due_at)
        self.outcome.errors += not connection.received.startswith(self._expected)
        self._free.append(connection)


def send(job: Job) -> Outcome:
    """Send every request when it is due, or as soon after that as a connection is free."""
    # epoll waits for whole milliseconds, select for microseconds.
    with selectors.SelectSelector() as selector, ExitStack() as stack:
        load = _Load(job, selector, stack)
        started_at, cpu_before = perf_counter(), process_time()
        while not load.is_done:
            load.ask()
            if not load.receive():
                break
        outcome = load.outcome
        outcome.busy = (process_time() - cpu_before) / (perf_counter() - started_at)
    outcome.errors += job.count - len(load.latencies_ms)
    outcome.latencies_ms = [latency for _, latency in sorted(load.latencies_ms.items())]
    return outcome


def main() -> None:
    """Do the job on standard input."""
    job = Job(**json.load(sys.stdin))
    try:
        outcome = send(job)
    except OSError as error:
        sys.exit(f"A connection to the service fails: {str(error) or type(error).__name__}")
    json.dump(asdict(outcome), sys.stdout)


if __name__ == "__main__":
    main()

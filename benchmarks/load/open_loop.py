"""Load on a fixed schedule: `python -m benchmarks.load.open_loop` does not wait for responses.

Latency counts from when a request was due, so a service that stalls is charged for all requests that had to
wait ("coordinated omission": https://github.com/giltene/wrk2). It is a separate process, which reads a job
from standard input and writes an outcome to standard output.
"""

import json
import selectors
import sys
from collections import deque
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import cycle
from time import perf_counter, process_time

from fastforge_kit.generator import PATIENCE_SECONDS, Connection

# Until the first request is due, so that connecting does not delay it.
LEAD_SECONDS = 0.1


@dataclass(frozen=True)
class Job:
    """The requests to send, to a host and a port, how often and for how long."""

    host: str
    port: int
    requests: list[str]
    status: int
    connections: int
    per_second: float
    seconds: float

    @property
    def count(self) -> int:
        """The number of requests."""
        return int(self.per_second * self.seconds)


@dataclass
class Outcome:
    """Latencies in milliseconds, in the order of the schedule, without those of failed requests."""

    latencies_ms: list[float] = field(default_factory=list)
    errors: int = 0
    # The share of the time in which the generator itself was busy; near 1 it is the bottleneck.
    busy: float = 0.0
    # The delay of each request by the generator itself, while the machine did not run it.
    late_ms: list[float] = field(default_factory=list)


@dataclass
class Schedule:
    """The due time of each request, and the number of those that were due so far."""

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
        """True if every request was due."""
        return self.taken == self.count

    def seconds_to_next(self, now: float) -> float:
        """Return the time until the next request is due, or the patience for responses after the last one."""
        if self.is_over:
            return PATIENCE_SECONDS
        return max(0.0, self.due_at(self.taken) - now)


class _Load:
    """The connections, and the outcome so far."""

    def __init__(self, job: Job, selector: selectors.BaseSelector, stack: ExitStack) -> None:
        self.outcome = Outcome()
        self.latencies_ms: dict[int, float] = {}
        self._selector = selector
        self._requests = cycle([request.encode() for request in job.requests])
        self._waiting: deque[int] = deque()
        self._numbers: dict[Connection, int] = {}
        # Used in turn, because Uvicorn closes connections that are idle for five seconds.
        self._free = deque(Connection(job.host, job.port, job.status) for _ in range(job.connections))
        for connection in self._free:
            stack.callback(connection.socket.close)
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        self._schedule = Schedule(perf_counter() + LEAD_SECONDS, job.per_second, job.count)

    @property
    def is_done(self) -> bool:
        return len(self.latencies_ms) == self._schedule.count

    def send(self) -> None:
        """Send what is due, as far as connections are free."""
        now = perf_counter()
        due = self._schedule.take_due(now)
        self.outcome.late_ms += [1_000 * (now - self._schedule.due_at(number)) for number in due]
        self._waiting.extend(due)
        while self._waiting and self._free:
            connection, number = self._free.popleft(), self._waiting.popleft()
            self._numbers[connection] = number
            connection.send(next(self._requests), self._schedule.due_at(number))

    def receive(self) -> bool:
        """Take the responses that arrive until the next request is due; return whether more may arrive."""
        ready = self._selector.select(self._schedule.seconds_to_next(perf_counter()))
        if not ready and self._schedule.is_over:
            return False
        for key, _ in ready:
            if key.data.receive():
                self._note(key.data)
        return True

    def _note(self, connection: Connection) -> None:
        self.latencies_ms[self._numbers[connection]] = connection.latency_ms()
        self.outcome.errors += not connection.is_as_expected()
        self._free.append(connection)


def send(job: Job) -> Outcome:
    """Send every request when it is due, or as soon after that as a connection is free."""
    # epoll waits for whole milliseconds, select for microseconds.
    with selectors.SelectSelector() as selector, ExitStack() as stack:
        load = _Load(job, selector, stack)
        started_at, cpu_before = perf_counter(), process_time()
        while not load.is_done:
            load.send()
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

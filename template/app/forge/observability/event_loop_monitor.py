"""The event-loop monitor: a lag metric, and the stack of code that blocks the loop.

The loop runs a callback at short intervals, and a thread checks that it is on time. Only another thread can see the
stack while the loop is blocked.
"""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from prometheus_client import Histogram

logger = logging.getLogger(__name__)

LAG = Histogram(
    "event_loop_lag_seconds",
    "Delay between a callback's scheduled and actual start.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
# A block is always detected if it exceeds the limit by one interval.
INTERVALS_IN_LIMIT = 2


@contextmanager
def watched_event_loop(blocked_seconds: float) -> Iterator[None]:
    """Measure the lag of the running loop, and log the stack once for each block of at least this length."""
    monitor = _Monitor(blocked_seconds)
    thread = threading.Thread(target=monitor.run, name="event-loop-lag", daemon=True)
    monitor.tick()
    thread.start()
    try:
        yield
    finally:
        monitor.stop()
        thread.join()


class _Monitor:
    """Monitors the running loop of the thread that creates it. `run` runs in another thread."""

    def __init__(self, blocked_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._blocked_seconds = blocked_seconds
        self._interval_seconds = blocked_seconds / INTERVALS_IN_LIMIT
        self._due_at = monotonic()
        self._ended = threading.Event()

    def tick(self) -> None:
        """Record the lag, and schedule the next tick after the interval."""
        now = monotonic()
        LAG.observe(max(0.0, now - self._due_at))
        self._due_at = now + self._interval_seconds
        self._next = self._loop.call_later(self._interval_seconds, self.tick)

    def stop(self) -> None:
        self._next.cancel()
        self._ended.set()

    def run(self) -> None:
        reported = 0.0
        # Wakes up only when the next tick would be late: a few times a second instead of once per tick.
        while not self._ended.wait(max(self._interval_seconds, self._seconds_left())):
            due_at = self._due_at
            if self._seconds_left() <= 0 and due_at != reported:
                reported = due_at
                self._report(due_at)

    def _seconds_left(self) -> float:
        return self._due_at + self._blocked_seconds - monotonic()

    def _report(self, due_at: float) -> None:
        stack = "".join(traceback.format_stack(sys._current_frames()[self._loop_thread]))  # noqa: SLF001
        if self._due_at != due_at:
            # The loop has just continued, so this is not the stack of the code that blocked it.
            return
        blocked_ms = (monotonic() - due_at) * 1_000
        logger.warning("The event loop has been blocked for %d ms.", blocked_ms, extra={"stack": stack})

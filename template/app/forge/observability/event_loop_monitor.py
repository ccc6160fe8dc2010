"""How late the event loop is, and what blocks it.

The loop sets a mark in short intervals, and a thread looks whether it still does: only another thread can see
what runs while the loop is blocked.
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
    "How much later than it was due the event loop came to a task.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
# A block is seen for certain once it lasts one interval longer than is allowed.
INTERVALS_IN_LIMIT = 2


@contextmanager
def watched_event_loop(blocked_seconds: float) -> Iterator[None]:
    """Measure the lag of the running loop, and log the stack of what blocks it for so long, a line per block."""
    watch = _Watch(blocked_seconds)
    thread = threading.Thread(target=watch.look, name="event-loop-lag", daemon=True)
    watch.mark()
    thread.start()
    try:
        yield
    finally:
        watch.end()
        thread.join()


class _Watch:
    """Belongs to the loop that runs where it is made; `look` runs in a thread of its own."""

    def __init__(self, blocked_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._blocked_seconds = blocked_seconds
        self._interval_seconds = blocked_seconds / INTERVALS_IN_LIMIT
        self._due_at = monotonic()
        self._ended = threading.Event()

    def mark(self) -> None:
        """Note that the loop is not blocked, and do so again after the interval."""
        now = monotonic()
        LAG.observe(max(0.0, now - self._due_at))
        self._due_at = now + self._interval_seconds
        self._next = self._loop.call_later(self._interval_seconds, self.mark)

    def end(self) -> None:
        self._next.cancel()
        self._ended.set()

    def look(self) -> None:
        told = 0.0
        # Woken when the mark that is awaited would be too late, so a few times a second and not for every mark.
        while not self._ended.wait(max(self._interval_seconds, self._seconds_left())):
            due_at = self._due_at
            if self._seconds_left() <= 0 and due_at != told:
                told = due_at
                self._tell(due_at)

    def _seconds_left(self) -> float:
        return self._due_at + self._blocked_seconds - monotonic()

    def _tell(self, due_at: float) -> None:
        stack = "".join(traceback.format_stack(sys._current_frames()[self._loop_thread]))  # noqa: SLF001
        if self._due_at != due_at:
            # It has just gone on, so this is not the stack of what blocked it.
            return
        blocked_ms = (monotonic() - due_at) * 1_000
        logger.warning("The event loop has been blocked for %d ms.", blocked_ms, extra={"stack": stack})

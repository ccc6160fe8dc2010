"""Orphaned workers: they stop when their manager is gone, even if it was killed.

Otherwise they would keep the port, so a new service could not start, and they would never be replaced.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from threading import Thread
from time import sleep

logger = logging.getLogger(__name__)

# The time that a worker needs to close its resources after its last request.
CLOSING_SECONDS = 5
# From <linux/prctl.h>: man 2 prctl.
PR_SET_PDEATHSIG = 1


def end_after(wait_for_manager: Callable[[], object], graceful_seconds: float) -> None:
    """Send this process SIGTERM once `wait_for_manager` returns, and kill it if it does not stop in time."""

    def watch() -> None:
        wait_for_manager()
        logger.error("The manager of this worker (pid %d) is gone, so the worker stops.", os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)
        sleep(graceful_seconds + CLOSING_SECONDS)
        # Its event loop is blocked, or another thread does not end.
        os.kill(os.getpid(), signal.SIGKILL)

    # A thread, because it must work before the event loop starts and while the loop is blocked.
    Thread(target=watch, name="watch-manager", daemon=True).start()


def pipe_to_workers() -> tuple[int, int]:
    """Return the reading and writing ends of a pipe. Only the manager keeps the writing end open."""
    return os.pipe()


def closed(reading_end: int) -> Callable[[], object]:
    """Return a function that waits until the writing end of the pipe is closed everywhere."""
    return lambda: os.read(reading_end, 1)


def signal_after_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return a `preexec_fn` that requests this signal when the parent dies; None if the system is not Linux.

    Start the program from the main thread, because the signal is sent when the starting thread ends.
    """
    if sys.platform != "linux":
        return None
    # Imported here: only the manager of Nginx needs it.
    import ctypes

    libc, parent = ctypes.CDLL(None, use_errno=True), os.getpid()

    def ask_for_signal() -> None:
        libc.prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os.kill(os.getpid(), number)

    return ask_for_signal

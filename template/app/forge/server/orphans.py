"""Workers end when the process that manages them does, even if that was killed and could not tell them.

Nothing else would stop them: they hold the port, so that no new service can start, and nobody replaces them.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from threading import Thread
from time import sleep

logger = logging.getLogger(__name__)

# After its last request a worker still closes what it has open.
CLOSING_SECONDS = 5
# From <linux/prctl.h>: man 2 prctl.
PR_SET_PDEATHSIG = 1


def end_after(wait_for_manager: Callable[[], object], graceful_seconds: float) -> None:
    """Stop this process, as SIGTERM does, once `wait_for_manager` returns; kill it if it does not stop in time."""

    def watch() -> None:
        wait_for_manager()
        logger.error("The manager of this worker (pid %d) is gone, so the worker stops.", os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)
        sleep(graceful_seconds + CLOSING_SECONDS)
        # Its event loop stands still, or another thread does not end.
        os.kill(os.getpid(), signal.SIGKILL)

    # A thread of its own: it waits in the kernel, and works while the event loop is not there or stands still.
    Thread(target=watch, name="watch-manager", daemon=True).start()


def pipe_to_workers() -> tuple[int, int]:
    """Return the ends of a pipe to read and to write; only the manager keeps the second one open."""
    return os.pipe()


def closed(reading_end: int) -> Callable[[], object]:
    """Return what waits until nobody has the other end of the pipe open."""
    return lambda: os.read(reading_end, 1)


def signal_after_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child calls before it becomes another program, to get the signal when its parent dies.

    None if the system is not Linux. The program has to be started by the main thread, with whose end the signal
    comes.
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

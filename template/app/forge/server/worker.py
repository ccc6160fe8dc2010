"""A worker process in every deployment: its app, and its end when its manager is gone, even if it was killed.

Otherwise an orphaned worker would keep the port, so a new service could not start, and it would never be replaced.
"""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING, Any

from app.forge.observability.logs import configure_logging

if TYPE_CHECKING:
    from fastapi import FastAPI

logger = logging.getLogger(__name__)

# The time that a worker needs to close its resources after its last request.
CLOSING_SECONDS = 5
# From <linux/prctl.h>: man 2 prctl.
PR_SET_PDEATHSIG = 1


def create_app(**overrides: Any) -> "FastAPI":
    """Return the app of this process, with these settings instead of those of the environment.

    Garbage collection is off during start-up, because it would find nothing and take a seventh of the time. Afterwards
    all objects are frozen, so that later collections skip them: https://docs.python.org/3/library/gc.html#gc.freeze
    """
    # First, so that a failure below is logged as JSON.
    configure_logging()
    gc.disable()
    try:
        # Imported lazily, to save memory in the managing process.
        from app.main import create_app
        from app.settings import Settings

        # The managing process has already warned about unknown settings.
        settings = Settings(**overrides)
        configure_logging(settings.log_level)
        return create_app(settings)
    finally:
        gc.freeze()
        gc.enable()


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

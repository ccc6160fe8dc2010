"""Uvicorn with its own manager of several workers: https://uvicorn.dev/deployment/

SIGTERM stops after the accepted requests are answered, SIGHUP replaces the workers one by one, a worker that
dies or hangs is replaced.
"""

import logging
import multiprocessing
import pickle
import sys
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess, multiprocess

from app.forge.observability.logs import configure_logging
from app.forge.server.metrics_directory import hold_metrics_directory, metrics_directory
from app.forge.server.orphans import end_after
from app.forge.server.worker import create_app

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.settings import Settings

logger = logging.getLogger("uvicorn.error")

# On a busy or throttled machine a start takes long; once a worker serves, a thread of it answers within seconds.
START_SECONDS = 120
HUNG_SECONDS = 5


class Worker(multiprocess.Process):
    """A worker as Uvicorn's manager sees it, which has time to start and ends when its manager is gone."""

    _answered_at = 0.0
    _is_serving = False

    def start(self) -> None:
        """Start the process."""
        self._answered_at = monotonic()
        super().start()

    def target(self, sockets: list[socket] | None = None) -> None:
        """Serve; this is called in the worker."""
        hold_metrics_directory()
        manager = multiprocessing.parent_process()
        assert manager is not None
        end_after(manager.join, self.config.timeout_graceful_shutdown or 0)
        super().target(sockets)

    def is_alive(self, timeout: float = 0) -> bool:  # noqa: ARG002
        """Return whether the worker runs and does not hang. Never waits, so that the manager hears signals."""
        if not self.process.is_alive():
            return False
        try:
            while self.parent_conn.poll():
                self._is_serving = self.parent_conn.recv()
                self._answered_at = monotonic()
            self.parent_conn.send(b"ping")
        except (OSError, EOFError, pickle.UnpicklingError):
            return False
        return monotonic() - self._answered_at < (HUNG_SECONDS if self._is_serving else START_SECONDS)


def serve(settings: "Settings") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SystemExit` where the service cannot start."""
    configure_logging(settings.log_level)
    config = Config(
        "app.forge.server.uvicorn:create_app_or_exit",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="app.forge.server.protocol:HttpProtocol",
        # An access log costs a fifth to a half of the throughput; the metrics count every request.
        access_log=False,
        log_config=None,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.graceful_timeout_seconds,
        # Of a worker that replaces another; `Worker.is_alive` has its own.
        timeout_worker_healthcheck=START_SECONDS,
        # No limit_concurrency: it counts idle connections too, and its 503 is plain text without a request id.
    )
    with metrics_directory():
        multiprocess.Process = Worker  # type: ignore[misc]
        # Not uvicorn.run(): for one worker it starts no manager, so nobody would replace that worker, and
        # where workers cannot start it ends with exit code 0.
        manager = Multiprocess(config, [config.bind_socket()])
        manager.run()
    if any(process.exitcode == STARTUP_FAILURE for process in manager.processes):
        sys.exit(STARTUP_FAILURE)


def create_app_or_exit() -> "FastAPI":
    """Return the app of a worker. Where it cannot be made, the manager is told not to try for ever."""
    try:
        return create_app()
    except Exception:
        logger.exception("The app cannot be created.")
        sys.exit(STARTUP_FAILURE)

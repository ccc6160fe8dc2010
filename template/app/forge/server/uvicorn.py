"""Uvicorn with its own manager of several workers: https://uvicorn.dev/deployment/

SIGTERM finishes accepted requests and stops. SIGHUP replaces the workers one by one. Workers that die or hang are
replaced.
"""

import logging
import multiprocessing
import pickle
import sys
from socket import socket
from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess, multiprocess

from app.forge.observability.logs import configure_logging
from app.forge.server.metrics_directory import hold_metrics_directory, metrics_directory
from app.forge.server.passed_sockets import passed_sockets
from app.forge.server.worker import CLOSING_SECONDS, create_app, end_after

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.settings import Settings

logger = logging.getLogger("uvicorn.error")

# Starting takes long on a busy or throttled machine. A running worker responds to pings within seconds.
START_SECONDS = 120
HUNG_SECONDS = 5


class Worker(multiprocess.Process):
    """A worker with more time to start. It stops when its manager is gone."""

    _answered_at = 0.0
    _is_serving = False
    _killed_at: float | None = None

    def start(self) -> None:
        """Start the process."""
        self._answered_at = monotonic()
        super().start()

    def target(self, sockets: list[socket] | None = None) -> None:
        """Serve. Called in the worker process."""
        hold_metrics_directory()
        manager = multiprocessing.parent_process()
        assert manager is not None
        end_after(manager.join, self.config.timeout_graceful_shutdown or 0)
        super().target(sockets)

    def is_alive(self, timeout: float = 0) -> bool:  # noqa: ARG002
        """Return True if the worker runs and does not hang. Never waits, so the manager can react to signals."""
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

    def terminate(self) -> None:
        """Ask the process to finish its requests and stop. `join` kills one that takes too long, or is frozen."""
        super().terminate()
        self._killed_at = monotonic() + (self.config.timeout_graceful_shutdown or 0) + CLOSING_SECONDS

    def join(self) -> None:
        """Wait for the end of the process."""
        if self._killed_at is not None:
            self.process.join(max(0, self._killed_at - monotonic()))
            if self.process.is_alive():
                logger.error("Child process [%s] does not stop, and is killed.", self.process.pid)
                self.process.kill()
        super().join()
        if self.process.pid is not None:
            # Drops its gauges; its counters stay.
            mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]


def serve(settings: "Settings") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SystemExit` if the service cannot start."""
    configure_logging(settings.log_level)
    config = Config(
        "app.forge.server.uvicorn:create_app_or_exit",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="app.forge.server.protocol:HttpProtocol",
        # An access log would cost a fifth to a half of the throughput; metrics count every request anyway.
        access_log=False,
        log_config=None,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.graceful_timeout_seconds,
        # Applies to replacement workers; `Worker.is_alive` has its own limits.
        timeout_worker_healthcheck=START_SECONDS,
        # limit_concurrency is not set: it counts idle connections, and its 503 is plain text without a request id.
    )
    with metrics_directory():
        multiprocess.Process = Worker  # type: ignore[misc]
        # Not uvicorn.run(): with one worker it starts no manager, so that worker would not be replaced, and it exits
        # with code 0 if workers cannot start.
        manager = Multiprocess(config, passed_sockets() or [config.bind_socket()])
        manager.run()
    if any(process.exitcode == STARTUP_FAILURE for process in manager.processes):
        sys.exit(STARTUP_FAILURE)


def create_app_or_exit() -> "FastAPI":
    """Return the app of a worker. If it cannot be created, exit with a code that stops the manager's retries."""
    try:
        return create_app()
    except Exception:
        logger.exception("The app cannot be created.")
        sys.exit(STARTUP_FAILURE)

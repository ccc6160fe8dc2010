"""Uvicorn with its own manager of several workers: https://uvicorn.dev/deployment/

SIGTERM stops after the accepted requests are answered, SIGHUP replaces the workers one by one, a worker that
dies or hangs is replaced.
"""

import logging
import sys
from typing import TYPE_CHECKING

from uvicorn.config import STARTUP_FAILURE, Config
from uvicorn.supervisors import Multiprocess

from app.logs import configure_logging
from app.server.metrics_directory import metrics_directory
from app.server.worker import create_app

if TYPE_CHECKING:
    from fastapi import FastAPI

    from app.settings import Settings

logger = logging.getLogger("uvicorn.error")


def serve(settings: "Settings") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SystemExit` where the service cannot start."""
    configure_logging(settings.log_level)
    config = Config(
        "app.server.uvicorn:create_app_or_exit",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="app.server.protocol:HttpProtocol",
        # An access log costs a fifth to a half of the throughput; the metrics count every request.
        access_log=False,
        log_config=None,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.graceful_timeout_seconds,
        # No limit_concurrency: it counts idle connections too, and its 503 is plain text without a request id.
    )
    with metrics_directory():
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

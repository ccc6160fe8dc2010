"""Gunicorn supervising Uvicorn workers: https://docs.gunicorn.org/en/stable/settings.html

Settings from the environment are applied here; all others are in deploy/gunicorn/gunicorn.conf.py. SIGTERM finishes
accepted requests and stops. SIGHUP replaces the workers. Workers that die or hang are replaced. Gunicorn's own ASGI
worker takes 1.15 to 1.2 times the CPU of Uvicorn's.
"""

import os
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

# Imported at run time too: workers are forked from this process and share what it has imported.
from fastapi import FastAPI
from gunicorn.app.base import Application  # type: ignore[import-untyped]
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from app.forge.server.metrics_directory import metrics_directory
from app.forge.server.worker import CLOSING_SECONDS, closed, create_app, end_after, pipe_to_workers

if TYPE_CHECKING:
    from app.settings import Settings

CONFIGURATION = Path(__file__).parents[3] / "deploy/gunicorn/gunicorn.conf.py"

# Starting takes long on a busy or throttled machine. Gunicorn's own timeout applies once a worker serves.
START_SECONDS = 120


class Worker(UvicornWorker):  # type: ignore[misc]
    """A Uvicorn worker that closes its connections and exits before Gunicorn would kill it."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "auto",
        "http": "app.forge.server.protocol:HttpProtocol",
        "access_log": False,
    }

    manager_pipe: ClassVar[tuple[int, int]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The worker needs time to close its resources before Gunicorn kills it.
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout - CLOSING_SECONDS
        self._is_serving = Event()

    def init_process(self) -> None:
        """Serve. Called in the worker process."""
        reading_end, writing_end = self.manager_pipe
        os.close(writing_end)
        end_after(closed(reading_end), self.config.timeout_graceful_shutdown)
        Thread(target=self._show_life_while_starting, daemon=True).start()
        super().init_process()

    def _show_life_while_starting(self) -> None:
        deadline = monotonic() + START_SECONDS
        while not self._is_serving.wait(1) and monotonic() < deadline:
            self.notify()

    async def callback_notify(self) -> None:
        """Report that the event loop is running."""
        self._is_serving.set()
        await super().callback_notify()


class Service(Application):  # type: ignore[misc]
    """Gunicorn, configured with the settings of this service."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Load Gunicorn's configuration file, then apply the settings from the environment."""
        self.load_config_from_file(str(CONFIGURATION))
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        self.cfg.set("bind", f"{host}:{self.settings.port}")
        self.cfg.set("workers", self.settings.workers)
        self.cfg.set("worker_class", f"{__name__}.{Worker.__name__}")
        self.cfg.set("logconfig_dict", _logging(self.settings.log_level))
        self.cfg.set("keepalive", self.settings.keep_alive_seconds)
        self.cfg.set("graceful_timeout", self.settings.graceful_timeout_seconds + CLOSING_SECONDS)
        self.cfg.set("forwarded_allow_ips", self.settings.forwarded_allow_ips)

    def load(self) -> FastAPI:
        """Return the app of a worker."""
        return create_app()


def _logging(level: str) -> dict[str, Any]:
    # Uvicorn in the workers uses the handlers of gunicorn.error, so that logger needs its own.
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": {"level": level, "handlers": ["stderr"], "propagate": False}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "formatters": {"json": {"()": "app.forge.observability.logs.JsonFormatter"}},
    }


def serve(settings: "Settings") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SystemExit` if the service cannot start."""
    with metrics_directory():
        Worker.manager_pipe = pipe_to_workers()
        Service(settings).run()

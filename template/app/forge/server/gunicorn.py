"""Gunicorn supervising Uvicorn workers: https://docs.gunicorn.org/en/stable/settings.html

What the environment decides is set here, what belongs to Gunicorn alone in deploy/gunicorn/gunicorn.conf.py.
SIGTERM stops after the accepted requests are answered, SIGHUP replaces the workers, one that dies or hangs is
replaced. Gunicorn's own ASGI worker takes 1.15 to 1.2 times the CPU of Uvicorn's.
"""

import os
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

# At run time too: workers are forked from this process, and share what it has imported.
from fastapi import FastAPI
from gunicorn.app.base import Application  # type: ignore[import-untyped]
from uvicorn_worker import UvicornWorker  # type: ignore[import-untyped]

from app.forge.server.metrics_directory import metrics_directory
from app.forge.server.orphans import CLOSING_SECONDS, closed, end_after, pipe_to_workers
from app.forge.server.worker import create_app

if TYPE_CHECKING:
    from app.settings import Settings

CONFIGURATION = Path(__file__).parents[3] / "deploy/gunicorn/gunicorn.conf.py"

# On a busy or throttled machine a start takes long; Gunicorn's own timeout counts from the first request on.
START_SECONDS = 120


class Worker(UvicornWorker):  # type: ignore[misc]
    """A Uvicorn worker that ends by itself, its connections closed, before Gunicorn would kill it."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "auto",
        "http": "app.forge.server.protocol:HttpProtocol",
        "access_log": False,
    }

    manager_pipe: ClassVar[tuple[int, int]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Gunicorn may kill it only after it has closed what it has open.
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout - CLOSING_SECONDS
        self._is_serving = Event()

    def init_process(self) -> None:
        """Serve; this is called in the worker."""
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
        """Show that the event loop runs."""
        self._is_serving.set()
        await super().callback_notify()


class Service(Application):  # type: ignore[misc]
    """Gunicorn with the settings of this service."""

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Take Gunicorn's own settings from its file, then those of the environment."""
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
    # The workers' Uvicorn takes over the handlers of gunicorn.error, so it needs its own.
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "root": {"level": level, "handlers": ["stderr"]},
        "loggers": {"gunicorn.error": {"level": level, "handlers": ["stderr"], "propagate": False}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "formatters": {"json": {"()": "app.forge.observability.logs.JsonFormatter"}},
    }


def serve(settings: "Settings") -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `SystemExit` where the service cannot start."""
    with metrics_directory():
        Worker.manager_pipe = pipe_to_workers()
        Service(settings).run()

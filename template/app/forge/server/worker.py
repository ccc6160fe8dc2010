"""The app of a worker process, whichever server it works for."""

import gc
from typing import TYPE_CHECKING

from app.forge.observability.logs import configure_logging

if TYPE_CHECKING:
    from fastapi import FastAPI


def create_app() -> "FastAPI":
    """Return the app of this process.

    Nothing is garbage while it is made, and looking for some takes a seventh of that time. What was made stays
    for as long as the process, so that no later collection looks through it either:
    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    # Before anything that can fail, so that the reason is a log line, too.
    configure_logging()
    gc.disable()
    try:
        # Here, so that whoever starts and watches workers needs none of its memory.
        from app.main import create_app
        from app.settings import Settings

        # Whoever started the workers has warned of settings that do not exist.
        settings = Settings()
        configure_logging(settings.log_level)
        return create_app(settings)
    finally:
        gc.freeze()
        gc.enable()

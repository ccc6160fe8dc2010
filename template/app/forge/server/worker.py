"""The app of a worker process, in every deployment."""

import gc
from typing import TYPE_CHECKING, Any

from app.forge.observability.logs import configure_logging

if TYPE_CHECKING:
    from fastapi import FastAPI


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

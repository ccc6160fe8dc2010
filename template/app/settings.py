"""All settings of the service. Groups of them are declared next to the code that uses them."""

import logging
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, SecretStr

from app.forge.cache import CacheSettings
from app.forge.database import DatabaseSettings
from app.forge.environment import read_settings, unknown_settings
from app.forge.observability.logs import configure_logging
from app.forge.server.settings import ServerSettings

logger = logging.getLogger(__name__)


class Settings(DatabaseSettings, CacheSettings, ServerSettings):
    """Every setting of the service, read from the environment or .env under its name in capitals."""

    # The URL under which clients reach the service, for `servers` in /openapi.json: https://api.example.com/shop
    public_url: Annotated[
        Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s/?#]+)*/?$")] | None,
        Field(examples=["https://api.example.com/shop"]),
    ] = None
    max_body_bytes: PositiveInt = 4 * 1024 * 1024
    # Serve /docs with /openapi.json, and /metrics, to every client that can reach the service.
    docs_enabled: bool = True
    metrics_enabled: bool = True
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # Log one line per request.
    access_log: bool = False
    # Log a stack trace if the event loop blocks longer than this; 0 disables.
    event_loop_blocked_ms: NonNegativeInt = 200
    # A request with this value as X-Profile-Secret gets its own profile as the response.
    profile_secret: Annotated[SecretStr, Field(min_length=16)] | None = None


def settings_of_environment() -> Settings:
    """Return the settings from the environment and .env, or raise `InvalidSettings`. Log a warning for each unknown name."""
    settings = read_settings(Settings)
    configure_logging(settings.log_level)
    for sentence in unknown_settings(Settings):
        logger.warning(sentence)
    return settings

"""All settings; the parts belong to the modules that use them."""

import logging
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, SecretStr

from app.forge.cache import CacheSettings
from app.forge.database import DatabaseSettings
from app.forge.environment import unknown_settings
from app.forge.observability.logs import configure_logging
from app.forge.server.settings import ServerSettings

logger = logging.getLogger(__name__)


class Settings(DatabaseSettings, CacheSettings, ServerSettings):
    """Every setting of the service: a variable in the environment or in .env, in capitals."""

    # Where clients reach the service, for `servers` in /openapi.json: https://api.example.com/shop
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+(/[^\s/?#]+)*/?$")] | None = None
    max_body_bytes: PositiveInt = 4 * 1024 * 1024
    # Whether /docs and /openapi.json, and /metrics, are there for everybody who can reach the service.
    docs_enabled: bool = True
    metrics_enabled: bool = True
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # One line for each request in the log.
    access_log: bool = False
    # From when on the log names what blocks the event loop; 0 looks at nothing.
    event_loop_blocked_ms: NonNegativeInt = 200
    # Whoever sends it as X-Profile-Secret gets a profile of the request in place of the answer.
    profile_secret: Annotated[SecretStr, Field(min_length=16)] | None = None


def settings_of_environment() -> Settings:
    """Return the settings of the environment and .env, and warn of names there that nothing reads."""
    settings = Settings()
    configure_logging(settings.log_level)
    for sentence in unknown_settings(Settings):
        logger.warning(sentence)
    return settings

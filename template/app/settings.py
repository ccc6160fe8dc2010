"""All settings, read from the environment and from .env; the mixins belong to the modules that use them."""

from typing import Literal

from pydantic import PositiveInt
from pydantic_settings import SettingsConfigDict

from app.cache import CacheSettings
from app.server.settings import ServerSettings
from app.store import StoreSettings


class Settings(StoreSettings, CacheSettings, ServerSettings):
    """Every setting of the service. Raises `ValidationError` that names the variable, never its value."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

    max_body_bytes: PositiveInt = 4 * 1024 * 1024
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

"""All settings; the parts belong to the modules that use them."""

from typing import Literal

from pydantic import PositiveInt

from app.cache import CacheSettings
from app.server.settings import ServerSettings
from app.store import StoreSettings


class Settings(StoreSettings, CacheSettings, ServerSettings):
    """Every setting of the service: a variable in the environment or in .env, in capitals."""

    max_body_bytes: PositiveInt = 4 * 1024 * 1024
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

"""Where settings come from."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Environment(BaseSettings):
    """Settings read from environment variables, then from .env, then from their defaults.

    An invalid one raises `ValidationError`, which names the variable but never its value: it may be a secret.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True)

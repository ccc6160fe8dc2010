"""Settings of API keys."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from app.forge.auth.settings import CredentialSettings


class AuthSettings(CredentialSettings):
    """The look of new keys, and how long verified ones are remembered."""

    # The beginning of new keys, by which people and secret scanners recognize them.
    api_key_prefix: Annotated[str, Field(pattern="^[a-z0-9]{1,16}$", examples=["key"])] = "key"
    api_key_remember_seconds: NonNegativeFloat = 30.0
    # How often the times of last use are written.
    api_key_last_use_seconds: PositiveFloat = 60.0

"""Limits of the credentials that are accepted and remembered. Imported without FastAPI, as all settings are."""

from pydantic import PositiveInt

from app.forge.environment import Environment


class CredentialSettings(Environment):
    """Limits of what is accepted and remembered."""

    auth_max_credential_bytes: PositiveInt = 8_192
    # How many verified credentials each worker remembers.
    auth_max_remembered: PositiveInt = 10_000

"""Settings of OpenID Connect."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat

from app.forge.auth.settings import CredentialSettings

# Only signatures: with a shared secret, this service could issue tokens itself.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def _is_secure(url: str) -> str:
    parts = urlsplit(url)
    is_here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise ValueError("must start with https://, or http:// on this machine")
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must have a host, and no user, query or fragment")
    return url


class AuthSettings(CredentialSettings):
    """The issuer, and rules for its tokens."""

    # As tokens have it in `iss`; the service reads `.well-known/openid-configuration` below it.
    oidc_issuer: Annotated[str, AfterValidator(_is_secure), Field(examples=["https://issuer.example.com"])]
    # The name of this service, which tokens have in `aud`.
    oidc_audience: Annotated[str, Field(min_length=1, examples=["my-service"])]
    oidc_algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, examples=['["RS256"]'])] = (
        "RS256", "PS256", "ES256", "EdDSA",
    )  # fmt: skip
    # What tokens may have in `typ`. Some issuers write JWT.
    oidc_token_types: Annotated[tuple[str, ...], Field(min_length=1, examples=['["at+jwt"]'])] = (
        "at+jwt",
        "JWT",
    )
    # The claim with the scopes: a string with spaces, or a list. Some issuers have `scp` or `permissions`.
    oidc_scope_claim: Annotated[str, Field(min_length=1)] = "scope"
    # How much the clocks of the issuer and of this service may differ.
    oidc_leeway_seconds: NonNegativeFloat = 30.0
    # Keys are fetched when half of this has passed.
    oidc_keys_seconds: PositiveFloat = 3_600.0
    # At most one fetch in this time, whatever tokens name unknown keys.
    oidc_cooldown_seconds: PositiveFloat = 10.0
    oidc_timeout_seconds: PositiveFloat = 5.0

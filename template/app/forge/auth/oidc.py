"""OpenID Connect: access tokens (RFC 9068) of one issuer, verified by the keys that it publishes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal
from urllib.parse import urlsplit

from fastapi.openapi.models import HTTPBearer
from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat

from app.forge.auth.authenticator import Authenticator, CredentialSettings
from app.forge.auth.caller import CallerDependency
from app.forge.auth.oidc_fetch import tls_context
from app.forge.auth.oidc_keys import IssuerKeys
from app.forge.auth.oidc_tokens import TokenRules, TokenVerifier

# Only signatures: with a shared secret, this service could issue tokens itself.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]

caller = CallerDependency(
    "oidc", HTTPBearer(bearerFormat="JWT", description="An access token of the OpenID Connect issuer.")
)


def _is_secure(url: str) -> str:
    parts = urlsplit(url)
    is_here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise ValueError("must start with https://, or http:// on this machine")
    if not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must have a host, and no user, query or fragment")
    return url


class AuthSettings(CredentialSettings):
    """The issuer, and which of its tokens are accepted."""

    # As tokens have it in `iss`; the service reads `.well-known/openid-configuration` below it.
    oidc_issuer: Annotated[str, AfterValidator(_is_secure)]
    # The name of this service, which tokens have in `aud`.
    oidc_audience: Annotated[str, Field(min_length=1)]
    oidc_algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = (
        "RS256", "PS256", "ES256", "EdDSA",
    )  # fmt: skip
    # What tokens may have in `typ`. Some issuers write JWT.
    oidc_token_types: Annotated[tuple[str, ...], Field(min_length=1)] = ("at+jwt", "JWT")
    # The claim with the scopes: a string with spaces, or a list. Some issuers have `scp` or `permissions`.
    oidc_scope_claim: Annotated[str, Field(min_length=1)] = "scope"
    # How much the clocks of the issuer and of this service may differ.
    oidc_leeway_seconds: NonNegativeFloat = 30.0
    # Keys are fetched when half of this has passed.
    oidc_keys_seconds: PositiveFloat = 3_600.0
    # At most one fetch in this time, whatever tokens name unknown keys.
    oidc_cooldown_seconds: PositiveFloat = 10.0
    oidc_timeout_seconds: PositiveFloat = 5.0


class OidcAuthenticator(Authenticator):
    """Finds callers by their access tokens."""

    def __init__(self, keys: IssuerKeys, settings: AuthSettings) -> None:
        rules = TokenRules(
            issuer=settings.oidc_issuer,
            audience=settings.oidc_audience,
            algorithms=frozenset(settings.oidc_algorithms),
            types=frozenset(each.lower() for each in settings.oidc_token_types),
            scope_claim=settings.oidc_scope_claim,
            leeway_seconds=settings.oidc_leeway_seconds,
        )
        super().__init__(TokenVerifier(keys, rules), settings)
        self._keys = keys
        # What a key has signed that the issuer withdraws is no longer accepted.
        keys.on_withdrawal(self.forget_all)

    async def ping(self) -> None:
        """Return if the keys could be fetched the last time, or raise `Unavailable`."""
        self._keys.check()


@asynccontextmanager
async def open_authenticator(settings: AuthSettings) -> AsyncIterator[OidcAuthenticator]:
    """Yield what finds the callers of requests. The issuer may be down: its keys are fetched in the background."""
    keys = IssuerKeys(
        settings.oidc_issuer,
        tls_context(),
        life_seconds=settings.oidc_keys_seconds,
        cooldown_seconds=settings.oidc_cooldown_seconds,
        timeout_seconds=settings.oidc_timeout_seconds,
    )
    authenticator = OidcAuthenticator(keys, settings)
    async with keys.kept_fresh():
        yield authenticator

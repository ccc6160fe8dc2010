"""OpenID Connect: access tokens (RFC 9068) of one issuer, verified by the keys that it publishes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi.openapi.models import HTTPBearer

from app.forge.auth.authenticator import Authenticator
from app.forge.auth.caller import CallerDependency
from app.forge.auth.oidc_fetch import tls_context
from app.forge.auth.oidc_keys import IssuerKeys
from app.forge.auth.oidc_settings import AuthSettings
from app.forge.auth.oidc_tokens import TokenRules, TokenVerifier

caller = CallerDependency(
    "oidc", HTTPBearer(bearerFormat="JWT", description="An access token of the OpenID Connect issuer.")
)


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


def keys_of(settings: AuthSettings) -> IssuerKeys:
    """Return the keys of the issuer that the settings name, before the first fetch."""
    return IssuerKeys(
        settings.oidc_issuer,
        tls_context(),
        life_seconds=settings.oidc_keys_seconds,
        cooldown_seconds=settings.oidc_cooldown_seconds,
        timeout_seconds=settings.oidc_timeout_seconds,
    )


@asynccontextmanager
async def open_authenticator(settings: AuthSettings) -> AsyncIterator[OidcAuthenticator]:
    """Yield what finds the callers of requests. The issuer may be down: its keys are fetched in the background."""
    keys = keys_of(settings)
    authenticator = OidcAuthenticator(keys, settings)
    async with keys.kept_fresh():
        yield authenticator

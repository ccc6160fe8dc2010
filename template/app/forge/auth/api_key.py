"""API keys: `prefix_id.secret`, of which the database has the SHA-256 of the secret.

The secret has 256 random bits, so it needs no slow hash: there is nothing to guess. A verified key is remembered for
API_KEY_REMEMBER_SECONDS, which is therefore the longest time that a revoked key is still accepted.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import sha256
from secrets import compare_digest
from time import monotonic
from uuid import UUID

from fastapi.openapi.models import HTTPBearer

from app.forge.auth.api_key_last_uses import LastUses
from app.forge.auth.api_key_settings import AuthSettings
from app.forge.auth.api_key_table import ApiKeys
from app.forge.auth.authenticator import Authenticator
from app.forge.auth.caller import Caller, CallerDependency
from app.forge.auth.refusals import unauthenticated
from app.forge.database import Database
from app.forge.errors import NotFound
from app.forge.resource import now

KEY = re.compile(r"[a-z0-9]{1,16}_(?P<id>[0-9a-f]{32})\.(?P<secret>[A-Za-z0-9_-]{43})")
# If the id is unknown, the secret is compared with this, so that a refusal takes as long.
NO_DIGEST = sha256(b"").hexdigest()
# One answer for all, so that it says nothing about which ids exist.
REFUSED = "The API key is not valid."

caller = CallerDependency("apiKey", HTTPBearer(bearerFormat="API key", description="An API key."))


class ApiKeyVerifier:
    """Looks keys up by their id."""

    def __init__(self, keys: ApiKeys, uses: LastUses, remember_seconds: float) -> None:
        self._keys = keys
        self._uses = uses
        self._remember_seconds = remember_seconds

    async def verify(self, credentials: str) -> tuple[Caller, float]:
        """Return the caller with this key. Raises 401 or `Unavailable`."""
        key = KEY.fullmatch(credentials)
        if key is None:
            raise unauthenticated(REFUSED)
        # Before the look-up: a key that is revoked during it is not remembered for longer.
        asked_at, time, key_id = monotonic(), now(), UUID(hex=key["id"])
        scopes, expires_at = await self._scopes(key_id, key["secret"], time)
        left = self._remember_seconds
        if expires_at is not None:
            left = min(left, (expires_at - time).total_seconds())
        self._uses.note(key_id, time)
        return Caller(f"key:{key_id}", scopes, "api_key"), asked_at + left

    async def _scopes(
        self, key_id: UUID, secret: str, time: datetime
    ) -> tuple[frozenset[str], datetime | None]:
        digest = sha256(secret.encode()).hexdigest()
        try:
            key = await self._keys.get(key_id)
        except NotFound:
            compare_digest(digest, NO_DIGEST)
            raise unauthenticated(REFUSED) from None
        is_right = compare_digest(digest, key.digest)
        if not is_right or not key.is_valid_at(time):
            raise unauthenticated(REFUSED)
        return frozenset(key.scopes.split()), key.expires_at


@asynccontextmanager
async def open_authenticator(settings: AuthSettings, database: Database) -> AsyncIterator[Authenticator]:
    """Yield what finds the callers of requests; in the end, the times of last use are written."""
    keys = ApiKeys(database)
    async with LastUses(keys, settings.api_key_last_use_seconds).written() as uses:
        verifier = ApiKeyVerifier(keys, uses, settings.api_key_remember_seconds)
        yield Authenticator(verifier, settings)

"""The table of API keys. It belongs to the machinery, and is created by migrations/env.py, not by a revision."""

from collections.abc import AsyncIterator
from datetime import datetime
from hashlib import sha256
from secrets import token_urlsafe
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel
from uuid_utils.compat import uuid7

from app.forge.database import Database
from app.forge.resource import now
from app.forge.serializer import Serializer
from app.forge.table import table_of

SECRET_BYTES = 32


class ApiKeyFields(BaseModel):
    """The fields of a key. Scopes are separated by spaces."""

    name: str
    digest: str
    scopes: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None


class ApiKey(ApiKeyFields):
    """A key as it is stored."""

    id: UUID
    created_at: datetime
    updated_at: datetime

    def is_valid_at(self, time: datetime) -> bool:
        """Return True unless the key is revoked or expired."""
        return self.revoked_at is None and (self.expires_at is None or time < self.expires_at)


API_KEYS = table_of("api_keys", "API key", ApiKeyFields)


class NewKey(NamedTuple):
    """A new key. Its text is shown once, and not stored."""

    id: UUID
    text: str


class ApiKeys:
    """All API keys."""

    def __init__(self, database: Database) -> None:
        self._store = database.store(API_KEYS, Serializer(ApiKey, ApiKey))

    async def get(self, key_id: UUID) -> ApiKey:
        """Return the key. Raises `NotFound` or `Unavailable`."""
        return ApiKey.model_validate_json((await self._store.get(key_id)).body)

    async def create(self, prefix: str, name: str, scopes: list[str], expires_at: datetime | None) -> NewKey:
        """Return a new key with these scopes."""
        key_id, secret, created_at = uuid7(), token_urlsafe(SECRET_BYTES), now()
        fields = ApiKeyFields(
            name=name,
            digest=sha256(secret.encode()).hexdigest(),
            scopes=" ".join(sorted(set(scopes))),
            expires_at=expires_at,
        )
        times = {"created_at": created_at, "updated_at": created_at}
        await self._store.insert({"id": key_id, **fields.__dict__, **times})
        return NewKey(key_id, f"{prefix}_{key_id.hex}.{secret}")

    async def revoke(self, key_id: UUID) -> None:
        """Revoke the key, or raise `NotFound`. Workers may accept it until they have forgotten it."""
        if (await self.get(key_id)).revoked_at is None:
            time = now()
            await self._store.update(key_id, {"revoked_at": time}, time)

    async def note_use(self, key_id: UUID, time: datetime) -> None:
        """Store when the key was last used, or raise `NotFound`."""
        await self._store.update(key_id, {"last_used_at": time}, time)

    async def all(self) -> AsyncIterator[ApiKey]:
        """Yield all keys."""
        async for lines in self._store.export():
            for line in lines.splitlines():
                yield ApiKey.model_validate_json(line)

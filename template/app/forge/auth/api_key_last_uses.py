"""Writes in batches when keys were last used, so that requests never wait for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Self
from uuid import UUID

from app.forge.auth.api_key_table import ApiKeys
from app.forge.database import outages
from app.forge.errors import NotFound, Unavailable

# Written at once; the other requests need the database, too.
TOGETHER = 10


class LastUses:
    """The last uses that are not written yet: one time for each key, however often it was used."""

    def __init__(self, keys: ApiKeys, seconds: float) -> None:
        self._keys = keys
        self._seconds = seconds
        self._noted: dict[UUID, datetime] = {}

    def note(self, key_id: UUID, time: datetime) -> None:
        """Remember that the key was used, to be written with the next batch."""
        self._noted[key_id] = time

    @asynccontextmanager
    async def written(self) -> AsyncIterator[Self]:
        """Write batches in the background, and the last one in the end."""
        writing = asyncio.create_task(self._write_again_and_again())
        try:
            yield self
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await self.write()

    async def write(self) -> None:
        """Write what was noted. If the database is down, it is written later, or lost at shutdown."""
        noted, self._noted = self._noted, {}
        due = list(noted.items())
        while due:
            batch, due = due[:TOGETHER], due[TOGETHER:]
            try:
                await asyncio.gather(*(self._write(key_id, time) for key_id, time in batch))
            except Unavailable as error:
                outages.report(error.dependency, error)
                self._noted = dict([*batch, *due]) | self._noted
                return

    async def _write(self, key_id: UUID, time: datetime) -> None:
        try:
            await self._keys.note_use(key_id, time)
        except NotFound:
            # The row was deleted by hand.
            return

    async def _write_again_and_again(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self.write()

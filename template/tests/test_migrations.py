"""The migrations lead up, down and up again."""

import asyncio

from app.errors import Unavailable
from app.settings import Settings
from app.store import open_item_store
from tests.migrate import migrate


async def is_migrated(settings: Settings) -> bool:
    async with open_item_store(settings) as store:
        try:
            await store.ping()
        except Unavailable:
            return False
    return True


def test_migrations_lead_down_and_up_again(settings: Settings, database_url: str) -> None:
    migrate(database_url, "base")
    assert not asyncio.run(is_migrated(settings))
    migrate(database_url)
    assert asyncio.run(is_migrated(settings))

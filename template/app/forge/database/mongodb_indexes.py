"""`python -m app.forge.database.mongodb_indexes`: makes the indexes, as the service does when it starts."""

import asyncio
import sys

from app.forge.database.mongodb import StoreSettings, open_item_store
from app.forge.database.outages import cause_of
from app.forge.errors import Unavailable


async def make_indexes() -> None:
    """Return when the database has the indexes, or raise `Unavailable`."""
    async with open_item_store(StoreSettings()) as store:
        await store.ping()


if __name__ == "__main__":
    try:
        asyncio.run(make_indexes())
    except Unavailable as error:
        sys.exit(f"The indexes were not made. {cause_of(error)}")

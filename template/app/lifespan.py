"""Opens what the service needs, in the order of dependence, and closes it in reverse."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from app.cache import CachedItemStore, open_item_cache
from app.errors import Unavailable
from app.health import Dependency
from app.items.service import ItemService
from app.items.store import ItemStore
from app.logs import configure_logging
from app.settings import Settings
from app.store import Database, open_item_store

logger = logging.getLogger(__name__)


class State(TypedDict):
    """What requests find in `request.state`."""

    items: ItemService
    database: Database
    dependencies: list[Dependency]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Yield the state of a service that runs."""
    settings: Settings = app.state.settings
    configure_logging(settings.log_level)
    async with AsyncExitStack() as stack:
        if settings.event_loop_blocked_ms:
            # Here, because its metric is there as soon as it is imported.
            from app.event_loop_lag import watched_event_loop

            stack.enter_context(watched_event_loop(settings.event_loop_blocked_ms / 1_000))
        opened = await stack.enter_async_context(open_item_store(settings))
        store: ItemStore = opened
        dependencies = [Dependency("database", store.ping, required=True)]
        await _warn_if_unavailable(store)
        cache = await stack.enter_async_context(open_item_cache(settings))
        store = CachedItemStore(store, cache)
        opened.database.on_change(store.forget)
        yield {"items": ItemService(store), "database": opened.database, "dependencies": dependencies}


async def _warn_if_unavailable(store: ItemStore) -> None:
    # The service starts all the same: it answers 503 until the database is there, and then recovers.
    try:
        await store.ping()
    except Unavailable as error:
        logger.warning("The database is not ready: %s", error.__cause__)

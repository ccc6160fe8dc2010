"""Start-up and shutdown: resources open in dependency order and close in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI

from app.forge.cache import CachedItemStore, open_item_cache
from app.forge.database import Database, open_item_store, outages
from app.forge.http.health import Dependency
from app.forge.http.websockets import require_websocket_library
from app.forge.observability.logs import configure_logging
from app.items.service import ItemService
from app.items.store import ItemStore
from app.settings import Settings


class State(TypedDict):
    """The contents of `request.state`."""

    items: ItemService
    database: Database
    dependencies: list[Dependency]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[State]:
    """Yield the state of a service that runs."""
    settings: Settings = app.state.settings
    configure_logging(settings.log_level)
    require_websocket_library(app)
    async with AsyncExitStack() as stack:
        if settings.event_loop_blocked_ms:
            # Imported lazily: the import itself registers a metric.
            from app.forge.observability.event_loop_monitor import watched_event_loop

            stack.enter_context(watched_event_loop(settings.event_loop_blocked_ms / 1_000))
        opened = await stack.enter_async_context(open_item_store(settings))
        store: ItemStore = opened
        dependencies = [Dependency("database", store.ping, required=True)]
        await _report_if_unavailable(store)
        cache = await stack.enter_async_context(open_item_cache(settings))
        store = CachedItemStore(store, cache)
        opened.database.on_change(store.forget)
        pings = {dependency.name: dependency.ping for dependency in dependencies}
        await stack.enter_async_context(outages.watched(pings))
        yield {"items": ItemService(store), "database": opened.database, "dependencies": dependencies}


async def _report_if_unavailable(store: ItemStore) -> None:
    # The service starts anyway: it responds with 503 until the database answers.
    try:
        await store.ping()
    except Exception as error:
        outages.report("database", error)

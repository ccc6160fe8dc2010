"""Start-up and shutdown: resources open in dependency order and close in reverse."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from app.forge.cache import CachedStore, open_cache
from app.forge.database import open_database, outages
from app.forge.http.health import Dependency
from app.forge.http.websockets import require_websocket_library
from app.forge.observability.logs import configure_logging
from app.forge.observability.readings import Part
from app.forge.observability.recorder import recorded
from app.resources import RESOURCES
from app.settings import Settings


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Yield the contents of `request.state`: `database`, and each resource's rules under its name."""
    settings: Settings = app.state.settings
    configure_logging(settings.log_level)
    require_websocket_library(app)
    async with AsyncExitStack() as stack:
        if settings.event_loop_blocked_ms:
            # Imported lazily: the import itself registers a metric.
            from app.forge.observability.event_loop_monitor import watched_event_loop

            stack.enter_context(watched_event_loop(settings.event_loop_blocked_ms / 1_000))
        tables = [resource.table for resource in RESOURCES]
        database = await stack.enter_async_context(open_database(settings, tables))
        await outages.report_if_down("database", database.ping)
        dependencies = [Dependency("database", database.ping, required=True)]
        cache = await stack.enter_async_context(open_cache(settings))
        state: dict[str, Any] = {"database": database, "dependencies": dependencies}
        stores: dict[str, CachedStore] = {}
        for resource in RESOURCES:
            name = resource.table.name
            store = database.store(resource.table, resource.serializer())
            stores[name] = CachedStore(store, cache.of(name))
            state[name] = resource.rules(resource.table, stores[name], database)
        database.on_change(lambda table, row_ids: stores[table].forget(row_ids))
        pings = {dependency.name: dependency.ping for dependency in dependencies}
        await stack.enter_async_context(outages.watched(pings))
        parts: list[Part] = [database.readings, partial(outages.readings, pings)]
        parts += [partial(store.readings, name) for name, store in stores.items()]
        if settings.metrics_enabled:
            await stack.enter_async_context(recorded(parts))
        yield state

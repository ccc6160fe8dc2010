"""Checks of the MongoDB server and of the database in it."""

import asyncio
from datetime import UTC
from typing import Any

from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from app.forge.about import NAME
from app.forge.database.mongodb import OPTIONS
from app.forge.database.mongodb_driver import DriverDatabase, in_time, open_driver_database
from app.forge.database.mongodb_index_models import indexes_of
from app.forge.database.outages import cause_of
from app.forge.doctor.findings import Context, Finding, NotChecked, Outcomes
from app.forge.doctor.services import check_clock, check_connections, refused, unreachable
from app.forge.table import Table
from app.resources import RESOURCES
from app.settings import Settings

# https://www.mongodb.com/docs/manual/reference/error-codes/
NOT_AUTHORIZED, AUTHENTICATION_FAILED = 13, 18
# Each worker watches the server with two more.
WATCHING = 2
CONNECTIONS = "database.connections"


def check_database(context: Context) -> Outcomes:
    """Yield the findings about the server, its limits and the indexes. The database is only read."""
    if "database_url" in context.replaced:
        yield NotChecked("database", "DATABASE_URL is missing or invalid")
        return
    yield from asyncio.run(_collected(context))


async def _collected(context: Context) -> list[Finding | NotChecked]:
    settings = context.settings
    milliseconds = round(settings.database_timeout_seconds * 1_000)
    options = {**OPTIONS, "timeoutMS": milliseconds, "serverSelectionTimeoutMS": milliseconds}
    url = settings.database_url.get_secret_value()
    try:
        async with open_driver_database(url, **options) as database:
            return await in_time(_examined(database, context), 3 * settings.database_timeout_seconds)
    except (PyMongoError, TimeoutError) as error:
        code = error.code if isinstance(error, OperationFailure) else None
        if code in (NOT_AUTHORIZED, AUTHENTICATION_FAILED) or isinstance(error, ConfigurationError):
            return [refused("database", "DATABASE_URL", cause_of(error))]
        return [unreachable("database", "DATABASE_URL", cause_of(error))]


async def _examined(database: DriverDatabase, context: Context) -> list[Finding | NotChecked]:
    hello = await database.command("hello")
    return [
        *_check_server(hello, context),
        *await _check_connections(database, context.settings),
        *await _check_indexes(database),
    ]


def _check_server(hello: dict[str, Any], context: Context) -> Outcomes:
    if not hello.get("isWritablePrimary", True) and "setName" not in hello:
        yield Finding(
            "database.read_only",
            "error",
            "The server does not accept changes.",
            "Name the members of the replica set in DATABASE_URL, or correct it.",
        )
    if context.is_production and "setName" not in hello and hello.get("msg") != "isdbgrid":
        yield Finding(
            "database.standalone",
            "warning",
            "The server is not a member of a replica set, so it has no transactions: batches are not atomic.",
            "Start it with --replSet, and run rs.initiate(). One member is enough.",
        )
    if "localTime" in hello:
        time = hello["localTime"]
        yield from check_clock("database", time if time.tzinfo else time.replace(tzinfo=UTC))


async def _check_connections(database: DriverDatabase, settings: Settings) -> list[Finding | NotChecked]:
    if settings.workers > settings.database_max_connections:
        return []  # Reported as a contradiction of the settings.
    try:
        status = await database.client.admin.command("serverStatus")
        available = int(status["connections"]["available"])
    except OperationFailure:
        return [NotChecked(CONNECTIONS, f"the user of {NAME} may not read the server's status")]
    except (LookupError, TypeError, ValueError):
        available = 0
    if not available:
        return [NotChecked(CONNECTIONS, "the server accepted a connection, and reports that it accepts none")]
    wanted = settings.workers * (settings.connections_per_worker + WATCHING)
    return list(check_connections("database", "DATABASE_MAX_CONNECTIONS", wanted, available))


async def _check_indexes(database: DriverDatabase) -> list[Finding]:
    return [
        Finding(
            "migrations.pending",
            "warning",
            f"{resource.table.name} has documents, and lacks the indexes of {', '.join(missing)}.",
            "Run make migrate, which also stores defaults of new fields. If it reports duplicates, remove them first.",
        )
        for resource in RESOURCES
        # The service creates them when it starts, which is instantaneous in an empty collection.
        if await database[resource.table.name].find_one({}, ["_id"]) is not None
        and (missing := await _missing_indexes(database, resource.table))
    ]


async def _missing_indexes(database: DriverDatabase, table: Table) -> list[str]:
    found = (await database[table.name].index_information()).values()
    keys = {(tuple(map(tuple, each["key"])), bool(each.get("unique"))) for each in found}
    wanted = {
        (tuple(index.document["key"].items()), bool(index.document.get("unique")))
        for index in indexes_of(table)
    }
    return sorted(".".join(field for field, _ in key) for key, _ in wanted - keys)

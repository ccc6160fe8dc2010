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
from app.resources import RESOURCES
from app.settings import Settings

# https://www.mongodb.com/docs/manual/reference/error-codes/
NOT_AUTHORIZED, NO_SUCH_NAMESPACE = 13, 26
AUTHENTICATION_FAILED = 18
# Each worker watches the server with two more.
WATCHING = 2


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
    # Outside of the server's own database, only some commands are allowed.
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
    except (OperationFailure, LookupError, TypeError, ValueError):
        return [NotChecked("database.connections", f"the user of {NAME} may not read the server's status")]
    wanted = settings.workers * (settings.connections_per_worker + WATCHING)
    return list(check_connections("database", "DATABASE_MAX_CONNECTIONS", wanted, available))


async def _check_indexes(database: DriverDatabase) -> list[Finding]:
    outcomes = []
    for resource in RESOURCES:
        name = resource.table.name
        try:
            found = await database[name].index_information()
        except OperationFailure as error:
            if error.code != NO_SUCH_NAMESPACE:
                raise
            found = {}
        keys = {
            (tuple(tuple(pair) for pair in each["key"]), bool(each.get("unique"))) for each in found.values()
        }
        wanted = {
            (tuple(index.document["key"].items()), bool(index.document.get("unique")))
            for index in indexes_of(resource.table)
        }
        if missing := sorted(".".join(field for field, _ in key) for key, _ in wanted - keys):
            outcomes.append(
                Finding(
                    "migrations.pending",
                    "error",
                    f"{name} lacks the indexes of {', '.join(missing)}.",
                    "Run make migrate. If it reports duplicates, remove them first.",
                )
            )
    return outcomes

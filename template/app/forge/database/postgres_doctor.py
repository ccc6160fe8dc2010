"""Checks of the PostgreSQL server and of the database in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.forge.about import NAME
from app.forge.database.outages import cause_of
from app.forge.database.postgres_statements import ping, quoted
from app.forge.database.postgres_url import CONNECT_ERRORS
from app.forge.doctor.findings import Context, Finding, NotChecked, Outcomes
from app.forge.doctor.migrations import check_migrations
from app.forge.doctor.services import check_clock, check_connections, refused, unreachable, wrong_schema
from app.resources import RESOURCES
from app.settings import Settings

# Older releases get no fixes: https://www.postgresql.org/support/versioning/
OLDEST_SUPPORTED = 15
REFUSALS = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError)
UNSUPPORTED_PARAMETER = "unsupported startup parameter"
FACTS = """
SELECT current_setting('server_version_num')::int / 10000 AS major_version,
    current_setting('server_encoding') AS encoding, clock_timestamp() AS time,
    pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS is_read_only, rolsuper AS is_superuser,
    LEAST(
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - COALESCE(current_setting('reserved_connections', true)::int, 0)
            - (SELECT count(*) FROM pg_stat_activity
                WHERE datid IS NOT NULL AND application_name <> $1 AND pid <> pg_backend_pid()),
        NULLIF(rolconnlimit, -1), NULLIF(datconnlimit, -1)
    ) AS available
FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()
"""
VERSIONS = "SELECT version_num FROM alembic_version"
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")


def check_database(context: Context) -> Outcomes:
    """Yield the findings about the server, its limits and the tables. The database is only read."""
    if "database_url" in context.replaced:
        yield NotChecked("database", "DATABASE_URL is missing or invalid")
        return
    yield from asyncio.run(_collected(context))


async def _collected(context: Context) -> list[Finding | NotChecked]:
    settings = context.settings
    try:
        async with (
            asyncio.timeout(2 * settings.database_timeout_seconds),
            _connection(settings) as connection,
        ):
            facts = await connection.fetchrow(FACTS, NAME)
            outcomes = [*_check_server(facts, context), *_check_limits(facts, settings)]
            return [
                *outcomes,
                *await _check_tables(connection, is_for_reading=settings.server.is_for_reading),
            ]
    except (*CONNECT_ERRORS, TimeoutError) as error:
        return [_not_connected(error)]


@asynccontextmanager
async def _connection(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    session = {"application_name": f"{NAME} doctor", "timezone": "UTC"}
    if settings.database_pooler == "none":
        # As the service does; PgBouncer refuses it.
        session["statement_timeout"] = str(round(settings.database_timeout_seconds * 1_000))
    connection = await settings.server.connect(
        timeout_seconds=settings.database_timeout_seconds, server_settings=session, statement_cache_size=0
    )
    try:
        yield connection
    finally:
        await connection.close()


def _not_connected(error: Exception) -> Finding:
    cause = cause_of(error)
    if UNSUPPORTED_PARAMETER in cause:
        return Finding(
            "database.pooler",
            "error",
            f"DATABASE_URL leads to a pooler, and DATABASE_POOLER is none: {cause}",
            "Set DATABASE_POOLER to prepared or transaction. .env.example describes both.",
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return Finding(
            "database.missing",
            "error",
            f"The server has no such database: {cause}",
            "Create it with createdb, or correct DATABASE_URL.",
        )
    if isinstance(error, REFUSALS):
        return refused("database", "DATABASE_URL", cause)
    return unreachable("database", "DATABASE_URL", cause)


def _check_server(facts: Any, context: Context) -> Outcomes:
    if facts["major_version"] < OLDEST_SUPPORTED:
        yield Finding(
            "database.version",
            "warning",
            f"PostgreSQL {facts['major_version']} gets no security fixes any longer.",
            f"Upgrade the server to PostgreSQL {OLDEST_SUPPORTED} or newer.",
        )
    if facts["encoding"] != "UTF8":
        yield Finding(
            "database.encoding",
            "error",
            f"The database's encoding is {facts['encoding']}, which cannot store every text.",
            "Create it again with: createdb --encoding=UTF8 --template=template0",
        )
    if facts["is_read_only"] and not context.settings.server.is_for_reading:
        yield Finding(
            "database.read_only",
            "error",
            "The server does not accept changes: it is a standby, or read-only by its settings.",
            "Correct DATABASE_URL, or list all hosts in it: the service finds the primary.",
        )
    if facts["is_superuser"] and context.is_production:
        yield Finding(
            "database.superuser",
            "warning",
            "The service uses a superuser, which may read files of the server and run programs.",
            "Create a role that owns only this database, and use it in DATABASE_URL.",
        )
    yield from check_clock("database", facts["time"])


def _check_limits(facts: Any, settings: Settings) -> Outcomes:
    if settings.database_pooler != "none":
        yield NotChecked("database.connections", "a pooler shares the connections of the server")
    elif settings.workers <= settings.database_max_connections:
        wanted = settings.workers * settings.connections_per_worker
        yield from check_connections("database", "DATABASE_MAX_CONNECTIONS", wanted, facts["available"])


async def _check_tables(
    connection: asyncpg.Connection, *, is_for_reading: bool
) -> list[Finding | NotChecked]:
    try:
        applied = {row["version_num"] for row in await connection.fetch(VERSIONS)}
    except asyncpg.UndefinedTableError:
        applied = set()
    pending = list(check_migrations(applied))
    if pending or not RESOURCES:
        return pending
    tables = [resource.table for resource in RESOURCES]
    needed = PRIVILEGES[:1] if is_for_reading else PRIVILEGES
    try:
        await connection.fetch(ping(tables, for_changes=False))
    except asyncpg.InsufficientPrivilegeError:
        pass  # Named below.
    except asyncpg.PostgresError as error:
        return [wrong_schema(cause_of(error))]
    return [
        Finding(
            "database.privileges",
            "error",
            f"The service's role may not {privilege} in {table.name}.",
            f"Run as the owner: GRANT {privilege} ON {quoted(table.name)} TO the role in DATABASE_URL.",
        )
        for table in tables
        for privilege in needed
        if not await connection.fetchval("SELECT has_table_privilege($1, $2)", quoted(table.name), privilege)
    ]

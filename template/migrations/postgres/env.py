"""Runs the migrations: `alembic upgrade head`. They are plain SQL; SQLAlchemy only carries it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import asyncpg
from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.forge.about import NAME
from app.forge.database.postgres import DatabaseSettings

# Any number that other users of the database do not lock.
LOCK = 7_263_482_019_375_641
LOCK_POLL_SECONDS = 0.25
# They end the transaction that holds the lock while a migration takes its time.
NO_TIMEOUTS = "SET LOCAL idle_in_transaction_session_timeout = 0"


async def _connect() -> asyncpg.Connection:
    # Through the function that the service uses, so that both understand the same URLs.
    settings = DatabaseSettings()
    return await settings.server.connect(
        timeout_seconds=settings.database_timeout_seconds,
        server_settings={"application_name": f"{NAME} migrations", "timezone": "UTC"},
        # Behind a pooler a prepared statement may be in another session.
        statement_cache_size=0,
    )


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """Wait until no other process migrates the database, and keep others waiting."""
    connection = await _connect()
    try:
        # The lock belongs to a transaction, because a pooler gives a session to others after each. And it is asked
        # for repeatedly: waiting in a statement would hold up CREATE INDEX CONCURRENTLY forever.
        for attempt in count():
            async with connection.transaction():
                if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                    await connection.execute(NO_TIMEOUTS)
                    yield
                    return
            if attempt == 0:
                sys.stderr.write("Another process migrates the database; waiting for it.\n")
            await asyncio.sleep(LOCK_POLL_SECONDS)
    finally:
        await connection.close()


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def migrate() -> None:
    """Bring the database to the wanted revision, each migration in a separate transaction."""
    engine = create_async_engine("postgresql+asyncpg://", async_creator=_connect, poolclass=NullPool)
    async with _alone(), engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


def write_sql() -> None:
    """Print the migrations as SQL (`--sql`), without asking any server."""
    context.configure(dialect_name="postgresql", transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write_sql()
else:
    asyncio.run(migrate())

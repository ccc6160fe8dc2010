"""Runs the migrations: `alembic upgrade head`. They are plain SQL; SQLAlchemy only carries it."""

import asyncio

from alembic import context
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.store.postgres import StoreSettings


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()


async def migrate() -> None:
    """Bring the database to the wanted revision, each migration in a transaction of its own."""
    url = make_url(StoreSettings().database_url.get_secret_value()).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
    await engine.dispose()


asyncio.run(migrate())

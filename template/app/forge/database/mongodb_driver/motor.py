"""Driver-specific parts of the store, for Motor.

Motor runs PyMongo's blocking client in threads: five per CPU, or MOTOR_MAX_WORKERS.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorClientSession,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference, timeout
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]
Collection = AsyncIOMotorCollection[Document]
DriverDatabase = AsyncIOMotorDatabase[Document]
Session = AsyncIOMotorClientSession
Result = TypeVar("Result")

SNAPSHOT, DURABLE = ReadConcern("snapshot"), WriteConcern("majority", j=True)


@asynccontextmanager
async def open_driver_database(url: str, **options: Any) -> AsyncIterator[DriverDatabase]:
    """Yield the database that the URL names; the server need not be running."""
    client = AsyncIOMotorClient[Document](url, **options)
    try:
        yield client.get_default_database()
    finally:
        client.close()


async def in_time(operation: Awaitable[Result], seconds: float) -> Result:
    """Return the operation's result, or raise `TimeoutError`; it is not started if no thread was free in time."""
    async with asyncio.timeout(seconds):
        return await operation


async def aggregate(collection: Collection, pipeline: list[Document], **options: Any) -> list[Document]:
    """Return the resulting documents of the pipeline."""
    return await collection.aggregate(pipeline, **options).to_list()


async def in_transaction(
    database: DriverDatabase, write: Callable[[Session], Coroutine[Any, Any, Result]], seconds: float
) -> Result:
    """Return the result of the atomic write; repeat it after a conflict with another transaction."""
    async with await database.client.start_session() as session:
        # The driver would repeat it for two minutes.
        with timeout(seconds):
            # Whatever the URL prefers: a transaction is only possible on the primary.
            return await session.with_transaction(write, read_preference=ReadPreference.PRIMARY)


@asynccontextmanager
async def transaction_of(database: DriverDatabase, abort_seconds: float) -> AsyncIterator[Session]:
    """Yield a session in a new transaction; operations inside take part in it automatically.

    Without a commit it is aborted, with a separate time limit: otherwise MongoDB would keep its locks for a minute.
    """
    async with await database.client.start_session() as session:
        # Motor copies the context, which has the bound session, into its threads.
        with session.delegate.bind(end_session=False):
            session.start_transaction(SNAPSHOT, DURABLE, ReadPreference.PRIMARY)
            try:
                yield session
            finally:
                if session.delegate.in_transaction:
                    with timeout(abort_seconds):
                        await session.abort_transaction()

"""What the store does differently with each driver; here for Motor.

Motor runs PyMongo's blocking client in threads: five per CPU, or as many as MOTOR_MAX_WORKERS says.
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
    """Yield the database that the URL names; the server may be down meanwhile."""
    client = AsyncIOMotorClient[Document](url, **options)
    try:
        yield client.get_default_database()
    finally:
        client.close()


async def in_time(operation: Awaitable[Result], seconds: float) -> Result:
    """Return the operation's result, or raise `TimeoutError`; it is not begun if no thread was free by then."""
    async with asyncio.timeout(seconds):
        return await operation


async def aggregate(collection: Collection, pipeline: list[Document], **options: Any) -> list[Document]:
    """Return the documents that come out of the pipeline."""
    return await collection.aggregate(pipeline, **options).to_list()


async def in_transaction(
    database: DriverDatabase, write: Callable[[Session], Coroutine[Any, Any, Result]], seconds: float
) -> Result:
    """Return what the write returns, all of it done or nothing; one that met another transaction is made again."""
    async with await database.client.start_session() as session:
        # The driver would repeat it for two minutes.
        with timeout(seconds):
            # Whatever the URL prefers: a transaction is possible on the primary only.
            return await session.with_transaction(write, read_preference=ReadPreference.PRIMARY)


@asynccontextmanager
async def transaction_of(database: DriverDatabase, abort_seconds: float) -> AsyncIterator[Session]:
    """Yield a session in a new transaction; what is done inside takes part in it without naming it.

    What is not committed is aborted, and with time of its own: MongoDB would keep its locks for a minute.
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

"""What the store does differently with each driver; here for PyMongo."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pymongo import AsyncMongoClient, ReadPreference, timeout
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

Document = dict[str, Any]
Collection = AsyncCollection[Document]
DriverDatabase = AsyncDatabase[Document]
Session = AsyncClientSession
Result = TypeVar("Result")

SNAPSHOT, DURABLE = ReadConcern("snapshot"), WriteConcern("majority", j=True)

# Operations under way, also those whose callers have given up.
_running: set[asyncio.Future[Any]] = set()


@asynccontextmanager
async def open_driver_database(url: str, **options: Any) -> AsyncIterator[DriverDatabase]:
    """Yield the database that the URL names; the server may be down meanwhile."""
    async with AsyncMongoClient[Document](url, **options) as client:
        try:
            yield client.get_default_database()
        finally:
            await asyncio.gather(*_running, return_exceptions=True)


async def in_time(operation: Awaitable[Result], seconds: float) -> Result:
    """Return the operation's result, or raise `TimeoutError` and leave it to its own timeout.

    It is never cancelled: PyMongo 4.20 can lose the lock of its pool by that, and then hangs for ever.
    """
    running = asyncio.ensure_future(operation)
    _running.add(running)
    running.add_done_callback(_end)
    async with asyncio.timeout(seconds):
        return await asyncio.shield(running)


def _end(operation: asyncio.Future[Any]) -> None:
    _running.discard(operation)
    if not operation.cancelled():
        operation.exception()  # If its caller has given up, that is not worth a warning.


async def aggregate(collection: Collection, pipeline: list[Document], **options: Any) -> list[Document]:
    """Return the documents that come out of the pipeline."""
    return await (await collection.aggregate(pipeline, **options)).to_list()


async def in_transaction(
    database: DriverDatabase, write: Callable[[Session], Coroutine[Any, Any, Result]], seconds: float
) -> Result:
    """Return what the write returns, all of it done or nothing; one that met another transaction is made again."""
    async with database.client.start_session() as session:
        # The driver would repeat it for two minutes.
        with timeout(seconds):
            # Whatever the URL prefers: a transaction is possible on the primary only.
            return await session.with_transaction(write, read_preference=ReadPreference.PRIMARY)


@asynccontextmanager
async def transaction_of(database: DriverDatabase, abort_seconds: float) -> AsyncIterator[Session]:
    """Yield a session in a new transaction; what is done inside takes part in it without naming it.

    What is not committed is aborted, and with time of its own: MongoDB would keep its locks for a minute.
    """
    async with database.client.start_session() as session, session.bind(end_session=False):
        await session.start_transaction(SNAPSHOT, DURABLE, ReadPreference.PRIMARY)
        try:
            yield session
        finally:
            if session.in_transaction:
                with timeout(abort_seconds):
                    await session.abort_transaction()

"""Driver-specific parts of the store, for PyMongo."""

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

# Running operations, including those whose callers have given up.
_running: set[asyncio.Future[Any]] = set()


@asynccontextmanager
async def open_driver_database(url: str, **options: Any) -> AsyncIterator[DriverDatabase]:
    """Yield the database that the URL names; the server need not be running."""
    async with AsyncMongoClient[Document](url, **options) as client:
        try:
            yield client.get_default_database()
        finally:
            await asyncio.gather(*_running, return_exceptions=True)


async def in_time(operation: Awaitable[Result], seconds: float) -> Result:
    """Return the operation's result, or raise `TimeoutError` and leave it to its own timeout.

    It is never cancelled, because then PyMongo 4.20 can lose the lock of its pool and hang forever.
    """
    running = asyncio.ensure_future(operation)
    _running.add(running)
    running.add_done_callback(_end)
    async with asyncio.timeout(seconds):
        return await asyncio.shield(running)


def _end(operation: asyncio.Future[Any]) -> None:
    _running.discard(operation)
    if not operation.cancelled():
        operation.exception()  # If its caller has given up, no warning is needed.


async def aggregate(collection: Collection, pipeline: list[Document], **options: Any) -> list[Document]:
    """Return the resulting documents of the pipeline."""
    return await (await collection.aggregate(pipeline, **options)).to_list()


async def in_transaction(
    database: DriverDatabase, write: Callable[[Session], Coroutine[Any, Any, Result]], seconds: float
) -> Result:
    """Return the result of the atomic write; repeat it after a conflict with another transaction."""
    async with database.client.start_session() as session:
        # The driver would repeat it for two minutes.
        with timeout(seconds):
            # Whatever the URL prefers: a transaction is only possible on the primary.
            return await session.with_transaction(write, read_preference=ReadPreference.PRIMARY)


@asynccontextmanager
async def transaction_of(database: DriverDatabase, abort_seconds: float) -> AsyncIterator[Session]:
    """Yield a session in a new transaction; operations inside take part in it automatically.

    Without a commit it is aborted, with a separate time limit: otherwise MongoDB would keep its locks for a minute.
    """
    async with database.client.start_session() as session, session.bind(end_session=False):
        await session.start_transaction(SNAPSHOT, DURABLE, ReadPreference.PRIMARY)
        try:
            yield session
        finally:
            if session.in_transaction:
                with timeout(abort_seconds):
                    await session.abort_transaction()

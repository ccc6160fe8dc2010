"""What the item store does differently with each driver; here for PyMongo."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

Document = dict[str, Any]
Collection = AsyncCollection[Document]
Session = AsyncClientSession


@asynccontextmanager
async def open_collection(url: str, name: str, **options: Any) -> AsyncIterator[Collection]:
    """Yield the collection in the database that the URL names; the server may be down meanwhile."""
    async with AsyncMongoClient[Document](url, **options) as client:
        yield client.get_default_database()[name]


async def aggregate(collection: Collection, pipeline: list[Document]) -> list[Document]:
    """Return the documents that come out of the pipeline."""
    return await (await collection.aggregate(pipeline)).to_list()


async def in_transaction(
    collection: Collection, write: Callable[[Session], Coroutine[Any, Any, None]]
) -> None:
    """Write all or nothing; a write that met another transaction is made again."""
    async with collection.database.client.start_session() as session:
        await session.with_transaction(write)

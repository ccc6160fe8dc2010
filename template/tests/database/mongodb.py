"""The MongoDB database at TEST_DATABASE_URL, for tests and measurements."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from tests import NoDatabase
from tests.database.for_tests import url_for_tests


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of a database, emptied before and after. Raises `NoDatabase`."""
    url = url_for_tests()
    client = _client(url)
    try:
        client.drop_database(client.get_default_database().name)
    except PyMongoError as error:
        reason = " ".join(str(error).split())
        raise NoDatabase(
            f"The database at TEST_DATABASE_URL does not respond: {reason}", "Start it, or name another."
        ) from None
    try:
        yield url
    finally:
        empty_database(url)
        client.close()
        _client.cache_clear()


def another_database(url: str) -> AbstractContextManager[str]:
    """Return the same database: there is only one for tests, and services can share it."""
    return nullcontext(url)


def empty_database(url: str) -> None:
    """Delete all rows."""
    database = _client(url).get_default_database()
    for name in database.list_collection_names():
        # Not dropped: the indexes stay for the next test.
        database[name].delete_many({})


@cache
def _client(url: str) -> pymongo.MongoClient[dict[str, Any]]:
    # One for all tests: a client takes longer to connect and to close than most tests.
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=5_000)

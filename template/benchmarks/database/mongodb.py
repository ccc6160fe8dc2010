"""The database for tests, emptied before and after the measurement."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo.errors import PyMongoError

from benchmarks.database.for_tests import database_for_tests
from benchmarks.errors import CannotMeasure


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of an empty database; raises `CannotMeasure`."""
    url = database_for_tests()
    _empty(url)
    try:
        yield url
    finally:
        _empty(url)


def _empty(url: str) -> None:
    try:
        with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=3_000) as client:
            client.drop_database(client.get_default_database().name)
    except PyMongoError as error:
        raise CannotMeasure(f"The database at TEST_DATABASE_URL does not answer: {error}") from None

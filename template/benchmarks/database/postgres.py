"""The database for tests, emptied before and after the measurement."""

from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CalledProcessError

from benchmarks.database.for_tests import database_for_tests
from benchmarks.errors import CannotMeasure
from tests.migrate import migrate


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
        migrate(url, "base")
        migrate(url)
    except CalledProcessError as error:
        raise CannotMeasure(f"The database cannot be migrated: {error}") from None

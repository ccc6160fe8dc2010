"""A database file that is made for the measurement."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CalledProcessError

from benchmarks.errors import CannotMeasure
from tests.migrate import migrate


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of an empty database, gone afterwards; raises `CannotMeasure`."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        url = f"sqlite:///{folder}/items.db"
        try:
            migrate(url)
        except CalledProcessError as error:
            raise CannotMeasure(f"The database cannot be migrated: {error}") from None
        yield url

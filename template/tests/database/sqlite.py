"""A database file for tests and measurements."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from urllib.parse import quote

from app.forge.database.sqlite_statements import quoted
from app.forge.database.sqlite_url import database_path
from app.resources import RESOURCES
from tests.migrate import migrate


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of an empty, migrated database, which is deleted afterwards. Raises `NoDatabase`."""
    with tempfile.TemporaryDirectory(prefix="items-") as folder:
        url = f"sqlite:///{quote(folder)}/app.db"
        migrate(url)
        yield url


def another_database(_url: str) -> AbstractContextManager[str]:
    """Return a database like the one at the URL, for another service."""
    return throwaway_database()


def empty_database(url: str) -> None:
    """Delete the rows of all resources."""
    with closing(sqlite3.connect(database_path(url), timeout=5)) as connection:
        # Nothing here must survive a power failure. Foreign keys are off, because they would require an order.
        connection.execute("PRAGMA synchronous = OFF")
        for resource in RESOURCES:
            connection.execute(f"DELETE FROM {quoted(resource.table.name)}")
        connection.commit()

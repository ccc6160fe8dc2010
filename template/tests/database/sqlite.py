"""A database file for tests and measurements."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID

from app.forge.database import Transaction
from app.forge.database.sqlite_statements import quoted
from app.forge.database.sqlite_url import database_path
from app.forge.table import Table
from app.resources import RESOURCES
from tests.gates import Gate
from tests.migrate import migrate

# One writer meets no other.
RETRIES: dict[str, Any] = {}
ITEMS = Table("items", "item", ())
TAKE = "UPDATE items SET price_cents = price_cents - ? WHERE id = ?"
GIVE = "UPDATE items SET price_cents = price_cents + ? WHERE id = ?"


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of an empty, migrated database, gone afterwards. Raises `NoDatabase`."""
    with tempfile.TemporaryDirectory(prefix="items-") as folder:
        url = f"sqlite:///{quote(folder)}/items.db"
        migrate(url)
        yield url


def another_database(_url: str) -> AbstractContextManager[str]:
    """Return a database like the one at the URL, for another service."""
    return throwaway_database()


def empty_database(url: str) -> None:
    """Delete the rows of all resources."""
    with closing(sqlite3.connect(database_path(url), timeout=5)) as connection:
        # Nothing here must outlast a power failure; foreign keys, which are off, would want an order.
        connection.execute("PRAGMA synchronous = OFF")
        for resource in RESOURCES:
            connection.execute(f"DELETE FROM {quoted(resource.table.name)}")
        connection.commit()


def moving(
    source: UUID, target: UUID, cents: int, gate: Gate | None = None, error: BaseException | None = None
) -> Callable[[Transaction], int]:
    """Return a work that moves cents from one item to another, and what it meets between the two."""

    def work(transaction: Transaction) -> int:
        transaction.changed(ITEMS, source, target)
        transaction.execute(TAKE, (cents, str(source)))
        if gate is not None:
            gate.pass_in_thread()
        if error is not None:
            raise error
        transaction.execute(GIVE, (cents, str(target)))
        return cents

    return work

"""A database file for tests and measurements."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID

from app.forge.database import Transaction
from app.forge.database.sqlite_url import database_path
from tests.gates import Gate
from tests.migrate import migrate

# One writer meets no other.
RETRIES: dict[str, Any] = {}
TAKE = "UPDATE items SET price_cents = price_cents - ? WHERE id = ?"
GIVE = "UPDATE items SET price_cents = price_cents + ? WHERE id = ?"


@contextmanager
def throwaway_database() -> Iterator[str]:
    """Yield the URL of an empty, migrated database, gone afterwards. Raises `NoDatabase`."""
    with tempfile.TemporaryDirectory(prefix="items-") as folder:
        url = f"sqlite:///{quote(folder)}/app.db"
        migrate(url)
        yield url


def another_database(_url: str) -> AbstractContextManager[str]:
    """Return a database like the one at the URL, for another service."""
    return throwaway_database()


def empty_database(url: str) -> None:
    """Delete all items."""
    with closing(sqlite3.connect(database_path(url), timeout=5)) as connection:
        # Nothing here must outlast a power failure.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("DELETE FROM items")
        connection.commit()


def moving(
    source: UUID, target: UUID, cents: int, gate: Gate | None = None, error: BaseException | None = None
) -> Callable[[Transaction], int]:
    """Return a work that moves cents from one item to another, and what it meets between the two."""

    def work(transaction: Transaction) -> int:
        transaction.changed(source, target)
        transaction.execute(TAKE, (cents, str(source)))
        if gate is not None:
            gate.pass_in_thread()
        if error is not None:
            raise error
        transaction.execute(GIVE, (cents, str(target)))
        return cents

    return work

"""A database file for the tests, migrated once and emptied before every test."""

import sqlite3
from contextlib import closing

import pytest

from tests.migrate import migrate


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a migrated database."""
    url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'items.db'}"
    migrate(url)
    return url


@pytest.fixture
def _empty_database(database_url: str) -> None:
    """Empty the database."""
    with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"), timeout=5)) as connection:
        connection.execute("DELETE FROM items")
        connection.commit()

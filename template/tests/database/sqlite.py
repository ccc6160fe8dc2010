"""A database file of its own for every test: a copy of one that the real migrations made."""

import shutil
from pathlib import Path

import pytest

from tests.migrate import migrate


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a migrated, empty database."""
    url = f"sqlite:///{tmp_path_factory.mktemp('database') / 'migrated.db'}"
    migrate(url)
    return url


@pytest.fixture
def database(migrated_database: str, tmp_path: Path) -> dict[str, str]:
    """Return the settings that lead to an empty database."""
    copy = shutil.copy(migrated_database.removeprefix("sqlite:///"), tmp_path / "items.db")
    return {"database_url": f"sqlite:///{copy}"}

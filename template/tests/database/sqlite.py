"""A database file of its own for every test: a copy of one that the real migrations made."""

import shutil
from pathlib import Path

import pytest

from tests.migrate import migrate


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a migrated, empty database file."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def database(migrated_database: Path, tmp_path: Path) -> dict[str, str]:
    """Return the settings that lead to an empty database."""
    return {"database_url": f"sqlite:///{shutil.copy(migrated_database, tmp_path / 'items.db')}"}

"""A database file of its own for every test: a copy of one that the real migrations made."""

import shutil
from pathlib import Path

import pytest

from tests.migrate import migrate


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated, empty database, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "items.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def database_url(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the URL of a migrated database that tests share."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path_factory.mktemp('shared'))}"


@pytest.fixture
def database(migrated_file: Path, tmp_path: Path) -> dict[str, str]:
    """Return the settings that lead to an empty database."""
    return {"database_url": f"sqlite:///{shutil.copy(migrated_file, tmp_path)}"}

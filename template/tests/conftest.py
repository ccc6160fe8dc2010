"""Fixtures: a test with `client` gets the whole service on an empty database."""

from collections.abc import Iterator
from itertools import count

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests import NoDatabase
from tests.database import empty_database, throwaway_database


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """Yield the URL of a migrated database; earlier contents of the test database are deleted."""
    try:
        with throwaway_database() as url:
            yield url
    except NoDatabase as error:
        pytest.exit(f"{error} {error.hint}", returncode=1)


@pytest.fixture
def _empty_database(database_url: str) -> None:
    empty_database(database_url)


@pytest.fixture
def anyio_backend() -> str:
    """Run asynchronous tests on the event loop of the service."""
    return "asyncio"


@pytest.fixture(scope="session")
def settings(database_url: str) -> Settings:
    """Return settings that do not depend on the environment or .env."""
    values = {"database_url": database_url}
    return Settings(_env_file=None, workers=1, **values)  # type: ignore[arg-type]


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """Return the service."""
    return create_app(settings)


@pytest.fixture(scope="module")
def running(settings: Settings) -> Iterator[TestClient]:
    """Yield a client of a service that all tests of a module share: most take less time than its start."""
    # Errors of the service become responses, as for any client.
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(running: TestClient, _empty_database: None) -> TestClient:
    """Return a client of the running service on an empty database."""
    return running


@pytest.fixture
def numbers() -> Iterator[int]:
    """Return numbers that distinguish the examples of a test."""
    return count(1)

"""Fixtures of the machinery's tests, in addition to those of the project."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.forge.database import Database, open_database
from app.resources import RESOURCES
from app.settings import Settings
from tests.machinery.doctor import Patient, new_patient


@pytest.fixture(scope="session")
def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a service that runs as a separate process."""
    named = ("_url", "oidc_issuer", "oidc_audience")
    urls = {name.upper(): value for name, value in settings if name.endswith(named) and value}
    told = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in urls.items()
    }
    return {**os.environ, **told}


@pytest.fixture
async def database(settings: Settings, _empty_database: None) -> AsyncIterator[Database]:
    """Yield the adapter over an empty database with the tables of the service."""
    async with open_database(settings, [resource.table for resource in RESOURCES]) as database:
        yield database


@pytest.fixture
def patient(environment: dict[str, str], tmp_path: Path) -> Patient:
    """Return a healthy copy of the project, which a test may break."""
    return new_patient(tmp_path, environment)

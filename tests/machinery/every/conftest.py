"""What tests of the machinery need beyond the fixtures of the project."""

import os
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from app.forge.database import open_database
from app.forge.store import Store
from app.items import RESOURCE as ITEMS
from app.settings import Settings


@pytest.fixture(scope="session")
def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a service that runs as a process of its own."""
    urls = {name.upper(): value for name, value in settings if name.endswith("_url")}
    secrets = {
        name: value.get_secret_value() for name, value in urls.items() if isinstance(value, SecretStr)
    }
    return {**os.environ, **secrets}


@pytest.fixture
async def store(settings: Settings, _empty_database: None) -> AsyncIterator[Store]:
    """Yield the adapter's items, of which there are none."""
    async with open_database(settings, [ITEMS.table]) as database:
        yield database.store(ITEMS.table, ITEMS.serializer())

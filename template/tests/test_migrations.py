"""The migrations lead up, down and up again, and the service itself does without what runs them."""

import asyncio
import subprocess
import sys

from app.errors import Unavailable
from app.settings import Settings
from app.store import open_item_store
from tests.migrate import PROJECT, migrate


async def is_migrated(settings: Settings) -> bool:
    async with open_item_store(settings) as store:
        try:
            await store.ping()
        except Unavailable:
            return False
    return True


def test_migrations_lead_down_and_up_again(settings: Settings, database_url: str) -> None:
    migrate(database_url, "base")
    assert not asyncio.run(is_migrated(settings))
    migrate(database_url)
    assert asyncio.run(is_migrated(settings))


def test_the_service_does_not_import_what_runs_the_migrations() -> None:
    command = [sys.executable, "-c", "import sys; from app import main; print(*sys.modules)"]
    modules = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.split()
    assert "app.items.routes" in modules
    assert not {"alembic", "sqlalchemy"} & set(modules)

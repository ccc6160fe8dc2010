"""The PostgreSQL database at TEST_DATABASE_URL, migrated once and emptied before every test."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from app.environment import Environment
from tests.migrate import migrate

HOW = "Set it in the environment or in .env, as .env.example does."


class TestSettings(Environment):
    """Where the database for tests is."""

    __test__ = False

    test_database_url: SecretStr = SecretStr("")


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url, timeout=5)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def database_url() -> str:
    """Return the URL of a migrated database; everything in it before is gone."""
    url = TestSettings().test_database_url.get_secret_value()
    name = urlsplit(url).path.removeprefix("/")
    if not url:
        pytest.exit(f"TEST_DATABASE_URL is not set. {HOW}", returncode=1)
    if "test" not in name:
        pytest.exit(
            f"TEST_DATABASE_URL leads to {name!r}, which has no 'test' in its name. {HOW}", returncode=1
        )
    try:
        asyncio.run(_execute(url, "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public"))
    except (OSError, asyncpg.PostgresError) as error:
        pytest.exit(f"The database {name!r} at TEST_DATABASE_URL does not answer: {error}", returncode=1)
    migrate(url)
    return url


@pytest.fixture
def _empty_database(database_url: str) -> None:
    """Empty the database."""
    asyncio.run(_execute(database_url, "TRUNCATE items"))

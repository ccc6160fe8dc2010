"""The MongoDB database at TEST_DATABASE_URL, emptied before every test."""

from typing import Any

import pymongo
import pytest
from pydantic import SecretStr
from pymongo.errors import PyMongoError

from app.environment import Environment

HOW = "Set it in the environment or in .env, as .env.example does."


class TestSettings(Environment):
    """Where the database for tests is."""

    __test__ = False

    test_database_url: SecretStr = SecretStr("")


@pytest.fixture(scope="session")
def database_url() -> str:
    """Return the URL of the database; everything in it before is gone."""
    url = TestSettings().test_database_url.get_secret_value()
    if not url:
        pytest.exit(f"TEST_DATABASE_URL is not set. {HOW}", returncode=1)
    with pymongo.MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=5_000) as client:
        name = client.get_default_database("").name
        if "test" not in name:
            pytest.exit(f"TEST_DATABASE_URL leads to {name!r}, which has no 'test' in its name. {HOW}", 1)
        try:
            client.drop_database(name)
        except PyMongoError as error:
            pytest.exit(f"The database {name!r} at TEST_DATABASE_URL does not answer: {error}", 1)
    return url


@pytest.fixture
def _empty_database(database_url: str) -> None:
    """Empty the database."""
    with pymongo.MongoClient[dict[str, Any]](database_url) as client:
        # Not dropped: the indexes stay for the next test.
        client.get_default_database()["items"].delete_many({})

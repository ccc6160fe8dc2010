"""The database that tests and measurements may empty, because it is named for tests."""

from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from app.forge.environment import Environment
from tests import NoDatabase

HOW = "Set it in the environment or in .env, as .env.example does."


class _ForTests(Environment):
    model_config = SettingsConfigDict(env_file=".env")

    test_database_url: SecretStr = SecretStr("")


def url_for_tests() -> str:
    """Return TEST_DATABASE_URL. Raises `NoDatabase` if it is not set or not named for tests."""
    url = _ForTests().test_database_url.get_secret_value()
    if not url:
        raise NoDatabase("TEST_DATABASE_URL is not set.", HOW)
    name = urlsplit(url).path.removeprefix("/")
    if "test" not in name:
        raise NoDatabase(f"TEST_DATABASE_URL names {name!r}, which does not contain 'test'.", HOW)
    return url

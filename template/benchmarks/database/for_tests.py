"""The database that a measurement may fill and empty, because its name says that it is for tests."""

from urllib.parse import urlsplit

from pydantic import SecretStr

from app.environment import Environment
from benchmarks.errors import CannotMeasure


class _ForTests(Environment):
    test_database_url: SecretStr = SecretStr("")


def database_for_tests() -> str:
    """Return TEST_DATABASE_URL; raises `CannotMeasure` where it is not set or not named for tests."""
    url = _ForTests().test_database_url.get_secret_value()
    if not url:
        raise CannotMeasure("TEST_DATABASE_URL is not set. Set it to a database that may be emptied.")
    name = urlsplit(url).path.removeprefix("/")
    if "test" not in name:
        raise CannotMeasure(
            f"TEST_DATABASE_URL leads to {name!r}, which has no 'test' in its name. It would be emptied: name one "
            f"that may be."
        )
    return url

"""The Redis database at TEST_REDIS_URL, emptied before every test."""

import pytest
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from app.environment import Environment

HOW = "Set it in the environment or in .env, as .env.example does."


class TestSettings(Environment):
    """Where the cache for tests is."""

    __test__ = False

    test_redis_url: SecretStr = SecretStr("")


@pytest.fixture(scope="session")
def empty_redis() -> str:
    url = TestSettings().test_redis_url.get_secret_value()
    if not url:
        pytest.exit(f"TEST_REDIS_URL is not set. {HOW}", returncode=1)
    return url

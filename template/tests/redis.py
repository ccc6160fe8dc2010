"""The Redis at TEST_REDIS_URL. Ids are never reused, so tests need not empty it."""

import pytest
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from redis import Redis
from redis.exceptions import RedisError

from app.forge.environment import Environment

HOW = "Set it in the environment or in .env, as .env.example does."


class _ForTests(Environment):
    model_config = SettingsConfigDict(env_file=".env")

    test_redis_url: SecretStr = SecretStr("")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Return the URL of a Redis that responds, or end the tests."""
    url = _ForTests().test_redis_url.get_secret_value()
    if not url:
        pytest.exit(f"TEST_REDIS_URL is not set. {HOW}", returncode=1)
    try:
        with Redis.from_url(url, socket_timeout=5) as client:
            client.ping()
    except RedisError as error:
        pytest.exit(f"The Redis at TEST_REDIS_URL does not respond: {error}", returncode=1)
    return url

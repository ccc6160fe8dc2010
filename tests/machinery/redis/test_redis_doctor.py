"""`python -m app.forge.doctor` with Redis: each fault of the server is found."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis

from app.settings import Settings
from tests.machinery.doctor import Patient

AXES: tuple[str, ...] = ()

PLENTY_OF_BYTES = 2**40


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    """Yield a client of the server."""
    async with Redis.from_url(settings.redis_url.get_secret_value()) as client:
        yield client


def test_a_server_that_does_not_respond_is_found(patient: Patient) -> None:
    patient.variables["REDIS_URL"] = "redis://127.0.0.1:9/0"
    assert "ConnectionError" in patient.examine().problem("cache.unreachable")


def test_a_wrong_password_is_found_and_not_repeated(patient: Patient) -> None:
    parts = urlsplit(patient.variables["REDIS_URL"])
    address = parts.netloc.rpartition("@")[2]
    patient.variables["REDIS_URL"] = urlunsplit(parts._replace(netloc=f"none-such:wrong-one@{address}"))
    examined = patient.examine()
    assert examined.problem("cache.refused")
    assert "wrong-one" not in examined.text


async def test_a_cache_that_stops_when_it_is_full_is_found(patient: Patient, redis: Redis) -> None:
    before: Any = await redis.config_get("maxmemory*")
    try:
        await redis.config_set("maxmemory", PLENTY_OF_BYTES)
        await redis.config_set("maxmemory-policy", "noeviction")
        examined = patient.examine()
    finally:
        await redis.config_set("maxmemory", before["maxmemory"])
        await redis.config_set("maxmemory-policy", before["maxmemory-policy"])
    assert "noeviction" in examined.problem("cache.eviction")

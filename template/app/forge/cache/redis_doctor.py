"""Checks of the Redis server."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from redis.exceptions import AuthenticationError, RedisError, ResponseError

from app.forge.cache.redis_connection import RedisConnection, open_connection
from app.forge.database.outages import cause_of
from app.forge.doctor.findings import Context, Finding, NotChecked, Outcomes
from app.forge.doctor.services import check_clock, check_connections, refused, unreachable


def check_cache(context: Context) -> Outcomes:
    """Yield the findings about the cache. Nothing is written."""
    if "redis_url" in context.replaced:
        yield NotChecked("cache", "REDIS_URL is missing or invalid")
        return
    yield from asyncio.run(_collected(context))


async def _collected(context: Context) -> list[Finding | NotChecked]:
    try:
        async with open_connection(context.settings.redis_url.get_secret_value()) as connection:
            await connection.execute("PING")
            return await _examined(connection, context.settings.workers)
    except (AuthenticationError, ResponseError) as error:
        return [refused("cache", "REDIS_URL", cause_of(error))]
    except (RedisError, OSError, ValueError) as error:
        return [unreachable("cache", "REDIS_URL", cause_of(error))]


async def _examined(connection: RedisConnection, workers: int) -> list[Finding | NotChecked]:
    try:
        facts = _facts(await connection.execute("INFO"))
        seconds, microseconds = await connection.execute("TIME")
    except ResponseError as error:
        return [NotChecked("cache.limits", f"the user may not read the server's state ({error})")]
    time = datetime.fromtimestamp(int(seconds) + int(microseconds) / 1e6, UTC)
    return [*_check_state(facts), *_check_clients(facts, workers), *check_clock("cache", time)]


def _facts(info: Any) -> dict[str, str]:
    text = info.decode() if isinstance(info, bytes) else str(info)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def _check_state(facts: dict[str, str]) -> Outcomes:
    if facts.get("role") == "slave":
        yield Finding(
            "cache.read_only",
            "error",
            "The cache is a replica, which does not accept changes, so it would serve stale rows and is not used.",
            "Set REDIS_URL to the primary.",
        )
    if facts.get("maxmemory", "0") != "0" and facts.get("maxmemory_policy") == "noeviction":
        yield Finding(
            "cache.eviction",
            "warning",
            "The cache evicts nothing (maxmemory-policy noeviction), so it stops working when its memory is full.",
            "Set maxmemory-policy allkeys-lru at the server.",
        )


def _check_clients(facts: dict[str, str], workers: int) -> Outcomes:
    if "maxclients" in facts:
        available = int(facts["maxclients"]) - int(facts["connected_clients"])
        yield from check_connections("cache", "WORKERS", workers, available)

"""The baseline with Redis: one GET by redis.asyncio, no framework."""

import os
from typing import Any

from redis.asyncio import Redis

from benchmarks.baselines.asgi import Receive, Scope, Send, lifespan, respond
from benchmarks.baselines.constant import BODY

redis: Any = None


async def connect() -> None:
    """Connect, and store an item."""
    global redis
    redis = Redis.from_url(os.environ["REDIS_URL"])
    await redis.set("item", BODY)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read one item."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send, connect())
        return
    await respond(send, await redis.get("item"))

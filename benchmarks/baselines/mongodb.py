"""The baseline with MongoDB: PyMongo's asynchronous client, orjson, no framework."""

import os
from datetime import UTC
from typing import Any
from uuid import UUID

import orjson
from pymongo import AsyncMongoClient

from benchmarks.baselines.asgi import Receive, Scope, Send, lifespan, respond

items: Any = None


async def connect() -> None:
    """Connect."""
    global items
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        os.environ["DATABASE_URL"], maxPoolSize=10, uuidRepresentation="standard", tz_aware=True, tzinfo=UTC
    )
    items = client.get_default_database()["items"]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read one item."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send, connect())
        return
    item = await items.find_one({"_id": UUID(scope["path"].rpartition("/")[2])})
    item["id"] = item.pop("_id")
    await respond(send, orjson.dumps(item))

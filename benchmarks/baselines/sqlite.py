"""The baseline with SQLite: sqlite3 called directly on the event loop, every write durable, no framework."""

import asyncio
import os
import sqlite3
from datetime import UTC, datetime
from uuid import uuid4

import orjson

from benchmarks.baselines.asgi import Receive, Scope, Send, body_of, lifespan, respond

COLUMNS = ("id", "name", "description", "price_cents", "tags", "created_at", "updated_at")
GET = "SELECT * FROM items WHERE id = ?"
INSERT = "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)"

connection = sqlite3.connect(
    os.environ["DATABASE_URL"].removeprefix("sqlite:///"), isolation_level=None, timeout=5
)
connection.execute("PRAGMA journal_mode = WAL")
connection.execute("PRAGMA synchronous = FULL")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read one item, or create one."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send, asyncio.sleep(0))
    elif scope["method"] == "POST":
        draft = orjson.loads(await body_of(receive))
        now = datetime.now(UTC).isoformat()
        tags = orjson.dumps(draft["tags"]).decode()
        row = (str(uuid4()), draft["name"], draft["description"], draft["price_cents"], tags, now, now)
        connection.execute(INSERT, row)
        await respond(
            send, orjson.dumps({**dict(zip(COLUMNS, row, strict=True)), "tags": draft["tags"]}), 201
        )
    else:
        row = connection.execute(GET, (scope["path"].rpartition("/")[2],)).fetchone()
        item = dict(zip(COLUMNS, row, strict=True))
        item["tags"] = orjson.loads(item["tags"])
        await respond(send, orjson.dumps(item))

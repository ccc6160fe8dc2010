"""The baseline with PostgreSQL: asyncpg's pool with its reset off, orjson, no framework."""

import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson

from benchmarks.baselines.asgi import ITEMS, Receive, Scope, Send, body_of, lifespan, respond

GET = "SELECT * FROM items WHERE id = $1"
PAGE = "SELECT * FROM items ORDER BY id DESC LIMIT $1"
INSERT = "INSERT INTO items VALUES ($1, $2, $3, $4, $5, $6, $7)"

pool: Any = None


async def keep_session(_connection: object) -> None:
    """Save the query that resets a session."""


async def open_pool() -> None:
    """Connect."""
    global pool
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10, reset=keep_session)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Read one item, or the newest hundred, or create one."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send, open_pool())
    elif scope["method"] == "POST":
        draft = orjson.loads(await body_of(receive))
        now = datetime.now(UTC)
        row = (uuid4(), draft["name"], draft["description"], draft["price_cents"], draft["tags"], now, now)
        await pool.execute(INSERT, *row)
        names = ("id", "name", "description", "price_cents", "tags", "created_at", "updated_at")
        await respond(send, orjson.dumps(dict(zip(names, row, strict=True))), 201)
    elif scope["path"] == ITEMS:
        rows = await pool.fetch(PAGE, 100)
        await respond(send, orjson.dumps({"items": [dict(row) for row in rows], "next": None}, default=str))
    else:
        row = await pool.fetchrow(GET, UUID(scope["path"].rpartition("/")[2]))
        await respond(send, orjson.dumps(dict(row), default=str))

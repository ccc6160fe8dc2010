"""Plain FastAPI as in its tutorial, on asyncpg: a response model, an ordinary pool, no middleware."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class Draft(BaseModel):
    """An item as a client sends it."""

    name: str
    description: str | None = None
    price_cents: int
    tags: list[str] = []


class Item(Draft):
    """An item as the service returns it."""

    id: UUID
    created_at: datetime
    updated_at: datetime


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect."""
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=10, max_size=10) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/api/v1/items")
async def list_items(limit: int = 20) -> list[Item]:
    """Return the newest items."""
    rows = await app.state.pool.fetch("SELECT * FROM items ORDER BY id DESC LIMIT $1", limit)
    return [Item(**row) for row in rows]


@app.get("/api/v1/items/{item_id}", response_model=Item)
async def read_item(item_id: UUID) -> Any:  # noqa: ANN401
    """Return one item."""
    row = await app.state.pool.fetchrow("SELECT * FROM items WHERE id = $1", item_id)
    if row is None:
        raise HTTPException(404)
    return dict(row)


@app.post("/api/v1/items", status_code=201, response_model=Item)
async def create_item(draft: Draft) -> Any:  # noqa: ANN401
    """Create an item."""
    now = datetime.now(UTC)
    item = {"id": uuid4(), **draft.model_dump(), "created_at": now, "updated_at": now}
    await app.state.pool.execute("INSERT INTO items VALUES ($1, $2, $3, $4, $5, $6, $7)", *item.values())
    return item

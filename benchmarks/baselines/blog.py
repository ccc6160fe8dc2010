"""The advice of blogs: an ORM session as a dependency, three `@app.middleware("http")`, gzip at level 9."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ARRAY, Text, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"))
sessions = async_sessionmaker(engine, expire_on_commit=False)

Next = Callable[[Request], Awaitable[Response]]


class Base(DeclarativeBase):
    """All tables."""


class ItemRow(Base):
    """The table of items."""

    __tablename__ = "items"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    price_cents: Mapped[int]
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Item(BaseModel):
    """An item as the service returns it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    description: str | None
    price_cents: int
    tags: list[str]
    created_at: datetime
    updated_at: datetime


async def open_session() -> AsyncIterator[AsyncSession]:
    """Yield a session for one request."""
    async with sessions() as session:
        yield session


app = FastAPI()
app.add_middleware(GZipMiddleware)


@app.middleware("http")
async def add_request_id(request: Request, call_next: Next) -> Response:
    """Add an id of the request."""
    response = await call_next(request)
    response.headers["X-Request-ID"] = str(uuid4())
    return response


@app.middleware("http")
async def add_time(request: Request, call_next: Next) -> Response:
    """Add the time that the response took."""
    started_at = time.perf_counter()
    response = await call_next(request)
    response.headers["X-Process-Time"] = str(time.perf_counter() - started_at)
    return response


@app.middleware("http")
async def add_security_headers(request: Request, call_next: Next) -> Response:
    """Forbid browsers to guess media types."""
    response = await call_next(request)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@app.get("/api/v1/items/{item_id}", response_model=Item)
async def read_item(item_id: UUID, session: Annotated[AsyncSession, Depends(open_session)]) -> ItemRow:
    """Return one item."""
    item = (await session.execute(select(ItemRow).where(ItemRow.id == item_id))).scalar_one_or_none()
    if item is None:
        raise HTTPException(404)
    return item

"""What an item is, as clients send it and as the service answers it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints
from typing_extensions import TypedDict

from app.forge.bodies import Body, body

# Not every database can store NUL in text (PostgreSQL cannot), and no client needs it.
NO_NUL = r"^[^\x00]*$"
# The largest integer that every JSON reader keeps exact (RFC 8259, section 6).
MAX_EXACT_INTEGER = 2**53 - 1

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=NO_NUL)]
Description = Annotated[str, StringConstraints(max_length=2_000, pattern=NO_NUL)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=NO_NUL)]
Tags = Annotated[list[Tag], Field(max_length=20)]
PriceCents = Annotated[int, Field(ge=0, le=MAX_EXACT_INTEGER)]


class ItemDraft(Body):
    """What a client sends to create an item."""

    name: Name
    description: Description | None = None
    price_cents: PriceCents
    tags: Tags = []


@body
class ItemChanges(TypedDict, total=False):
    """What a client sends to change an item: only the fields that are given change."""

    name: Name
    description: Description | None
    price_cents: PriceCents
    tags: Tags


class Item(BaseModel):
    """An item as the service answers it."""

    id: UUID
    name: Name
    description: Description | None
    price_cents: PriceCents
    tags: Tags
    created_at: datetime
    updated_at: datetime


class ItemPage(BaseModel):
    """One page of items, newest first; `next` is the cursor of the page after it."""

    items: list[Item]
    next: UUID | None


class BatchCreated(BaseModel):
    """How many items a batch created."""

    created: int


class PriceRange(BaseModel):
    """The lowest, highest and mean price in cents; null while there are no items."""

    min: int | None
    max: int | None
    mean: float | None


class TagCount(BaseModel):
    """A tag, and how many items carry it."""

    tag: str
    count: int


class ItemSummary(BaseModel):
    """All items in figures, with the ten tags used most."""

    count: int
    price_cents: PriceRange
    top_tags: list[TagCount]

"""JSON by orjson: rows from the service's own database are trusted and go straight to bytes."""

from typing import Any

import orjson
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from app.forge.store import Stored, StoredRows


class Serializer:
    """Writes the rows of a table."""

    def __init__(self, _model: type[BaseModel], _expanded: type[BaseModel]) -> None:
        """The models are for serializers that check."""

    def one(self, row: Stored) -> bytes:
        """Return one row as JSON."""
        return row if isinstance(row, bytes) else _dumped(row)

    def many(self, rows: StoredRows) -> bytes:
        """Return many rows as one JSON array."""
        return rows if isinstance(rows, bytes) else _dumped(rows)

    # What `expand` adds to a row is JSON or rows as well.
    one_expanded = one
    many_expanded = many


def _dumped(value: Any) -> bytes:
    # Pydantic writes the types that orjson does not know, such as decimals and sets, as it reads them.
    return orjson.dumps(value, to_jsonable_python, orjson.OPT_UTC_Z)

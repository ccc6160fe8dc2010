"""JSON by orjson. Rows come from the service's own database, so they are serialized without validation."""

from typing import Any

import orjson
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from app.forge.store import Stored, StoredRows


class Serializer:
    """Serializes the rows of a table."""

    def __init__(self, _model: type[BaseModel], _expanded: type[BaseModel]) -> None:
        """Accept the models that validating serializers need."""

    def one(self, row: Stored) -> bytes:
        """Return one row as JSON."""
        return row if isinstance(row, bytes) else _dumped(row)

    def many(self, rows: StoredRows) -> bytes:
        """Return many rows as one JSON array."""
        return rows if isinstance(rows, bytes) else _dumped(rows)

    # Expanded rows are JSON or Python values too.
    one_expanded = one
    many_expanded = many


def _dumped(value: Any) -> bytes:
    # Pydantic serializes the types that orjson does not support, such as decimals and sets.
    return orjson.dumps(value, to_jsonable_python, orjson.OPT_UTC_Z)

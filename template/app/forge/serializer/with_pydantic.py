"""JSON by Pydantic. Every row is validated against the response model."""

from typing import Any

from pydantic import BaseModel, TypeAdapter

from app.forge.store import Stored, StoredRows


class Serializer:
    """Serializes the rows of a table. Methods raise `ValidationError` if a row does not match the response model."""

    def __init__(self, model: type[BaseModel], expanded: type[BaseModel]) -> None:
        for each in (model, expanded):
            # Not later, in each adapter.
            each.model_rebuild()
        self._one: TypeAdapter[Any] = TypeAdapter(model)
        self._many: TypeAdapter[Any] = TypeAdapter(list[model])  # type: ignore[valid-type]
        self._one_expanded: TypeAdapter[Any] = TypeAdapter(expanded)
        self._many_expanded: TypeAdapter[Any] = TypeAdapter(list[expanded])  # type: ignore[valid-type]

    def one(self, row: Stored) -> bytes:
        """Return one row as JSON."""
        return _checked(self._one, row)

    def many(self, rows: StoredRows) -> bytes:
        """Return many rows as one JSON array."""
        return _checked(self._many, rows)

    def one_expanded(self, row: Stored) -> bytes:
        """Return one row as JSON, including the rows that `expand` added."""
        return _checked(self._one_expanded, row)

    def many_expanded(self, rows: StoredRows) -> bytes:
        """Return many rows as one JSON array, including the rows that `expand` added."""
        return _checked(self._many_expanded, rows)


def _checked(adapter: TypeAdapter[Any], value: Stored | StoredRows) -> bytes:
    checked = adapter.validate_json(value) if isinstance(value, bytes) else adapter.validate_python(value)
    return adapter.dump_json(checked, exclude_unset=True)

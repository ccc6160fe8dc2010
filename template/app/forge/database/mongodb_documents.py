"""Rows as MongoDB's documents: what BSON has no type for is kept as text, and a row's `id` is the document's `_id`."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from bson import Decimal128
from pydantic_core import from_json

from app.forge.database.mongodb_driver import Document
from app.forge.fields import EXACT, json_text
from app.forge.store import Row
from app.forge.table import Column, Table

Convert = Callable[[Any], Any]


class Conversion(NamedTuple):
    """How a value that is not None is stored, and how it is read back."""

    stored: Convert
    read: Convert


class Documents:
    """The rows of one table as documents, and back."""

    def __init__(self, table: Table) -> None:
        self._names = ("_id", *(column.name for column in table.columns), "created_at", "updated_at")
        # Of lists, how one element is converted.
        self._elements: dict[str, Conversion] = {}
        self._conversions: dict[str, Conversion] = {}
        for column in table.columns:
            conversion = conversion_of(column)
            if conversion is not None:
                self._elements[column.name] = conversion
                self._conversions[column.name] = _of_each(conversion) if column.is_list else conversion
        self._reads = [(name, conversion.read) for name, conversion in self._conversions.items()]
        # What a document has that was stored before its table had all columns.
        self.defaults = self.stored({column.name: column.default for column in table.columns})

    def row(self, document: Document) -> Row:
        """Return the document as a row."""
        if tuple(document) == self._names:
            row = {"id": document["_id"], **document}
            del row["_id"]
        else:
            row = self._in_order(document)
        for name, read in self._reads:
            if row[name] is not None:
                row[name] = read(row[name])
        return row

    def _in_order(self, document: Document) -> Row:
        """Return what the row has of a document with fewer or more fields, or in another order."""
        values = {**self.defaults, **document}
        return {"id": document["_id"], **{name: values[name] for name in self._names[1:]}}

    def document(self, row: Row) -> Document:
        """Return the row as it is stored."""
        document: Document = {"_id": row["id"], **self.stored(row)}
        del document["id"]
        return document

    def stored(self, values: Mapping[str, Any]) -> Document:
        """Return the columns' values as they are stored."""
        stored = dict(values)
        for name, conversion in self._conversions.items():
            if stored.get(name) is not None:
                stored[name] = conversion.stored(stored[name])
        return stored

    def wanted(self, filters: Mapping[str, Any]) -> Document:
        """Return the query for documents that match all filters."""
        return {
            name: self._elements[name].stored(value) if name in self._elements else value
            for name, value in filters.items()
        }

    def read(self, name: str, value: Any) -> Any:
        """Return what is stored of a column, or of one element of its lists, as a row has it."""
        return self._elements[name].read(value) if name in self._elements and value is not None else value

    def same(self, document: Document) -> Document:
        """Return the query for this document, as long as it is stored as it is here."""
        # What is None may also be missing.
        values = {name: {"$eq": document.get(name)} for name in self._names[1:]}
        return {"_id": document["_id"], **values}


def conversion_of(column: Column) -> Conversion | None:
    """Return how one value of the column, or one element of its lists, is stored, or None if it is stored as it is."""
    if column.kind == "decimal":
        return Conversion(Decimal128, partial(_decimal, Decimal(1).scaleb(-column.places)))
    if column.kind == "date":
        return Conversion(date.isoformat, date.fromisoformat)
    if column.kind == "json":
        # Not every name of a JSON object may be one of a document.
        return Conversion(json_text, from_json)
    return None


def _decimal(places: Decimal, stored: Decimal128) -> Decimal:
    return stored.to_decimal().quantize(places, context=EXACT)


def _of_each(conversion: Conversion) -> Conversion:
    return Conversion(
        lambda values: [conversion.stored(value) for value in values],
        lambda values: [conversion.read(value) for value in values],
    )

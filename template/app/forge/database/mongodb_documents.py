"""Rows as MongoDB's documents: types that BSON lacks are stored as text, and a row's `id` is the document's `_id`."""

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
    """The conversions of a value that is not None, for storing and for reading."""

    stored: Convert
    read: Convert


class Documents:
    """The rows of one table as documents, and back."""

    def __init__(self, table: Table) -> None:
        self._names = ("_id", *(column.name for column in table.columns), "created_at", "updated_at")
        # For lists: the conversion of one element.
        self._elements: dict[str, Conversion] = {}
        self._conversions: dict[str, Conversion] = {}
        for column in table.columns:
            conversion = conversion_of(column)
            if conversion is not None:
                self._elements[column.name] = conversion
                self._conversions[column.name] = _of_each(conversion) if column.is_list else conversion
        self._reads = [(name, conversion.read) for name, conversion in self._conversions.items()]
        # For documents that were stored before the table had all columns.
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
        """Return the row of a document with fewer or more fields, or in another order."""
        values = {**self.defaults, **document}
        return {"id": document["_id"], **{name: values[name] for name in self._names[1:]}}

    def document(self, row: Row) -> Document:
        """Return the document of the row."""
        document: Document = {"_id": row["id"], **self.stored(row)}
        del document["id"]
        return document

    def stored(self, values: Mapping[str, Any]) -> Document:
        """Return the stored form of the columns' values."""
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
        """Return the row's form of a stored column, or of one element of its lists."""
        return self._elements[name].read(value) if name in self._elements and value is not None else value

    def same(self, document: Document) -> Document:
        """Return the query for this document, if it is still stored in this form."""
        # A value that is None may also be missing.
        values = {name: {"$eq": document.get(name)} for name in self._names[1:]}
        return {"_id": document["_id"], **values}


def conversion_of(column: Column) -> Conversion | None:
    """Return the conversion of the column, or of one element of its lists, or None if it is stored unchanged."""
    if column.kind == "decimal":
        return Conversion(Decimal128, partial(_decimal, Decimal(1).scaleb(-column.places)))
    if column.kind == "date":
        return Conversion(date.isoformat, date.fromisoformat)
    if column.kind == "json":
        # Some names of a JSON object cannot be names of a document.
        return Conversion(json_text, from_json)
    return None


def _decimal(places: Decimal, stored: Decimal128) -> Decimal:
    return stored.to_decimal().quantize(places, context=EXACT)


def _of_each(conversion: Conversion) -> Conversion:
    return Conversion(
        lambda values: [conversion.stored(value) for value in values],
        lambda values: [conversion.read(value) for value in values],
    )

"""The stored form of values in SQLite.

Ids, dates and times are text, in the format of the serializers. Booleans are 0 and 1. Decimals are integers,
scaled by their number of places. Lists and `json` values are JSON text.
"""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

from app.forge.fields import EXACT, json_text
from app.forge.store import Row
from app.forge.table import Column, Table

Convert = Callable[[Any], Any]

ID = Column("id", "uuid")
TIMES = (Column("created_at", "datetime"), Column("updated_at", "datetime"))


def all_columns(table: Table) -> tuple[Column, ...]:
    """Return all columns, including those that every table has, in the order of the response model."""
    return (ID, *table.columns, *TIMES)


def time_text(time: datetime) -> str:
    """Return the time as both serializers write it."""
    return time.isoformat().replace("+00:00", "Z")


def from_decimal(units: int, places: int) -> Decimal:
    """Return the decimal that is stored as this integer."""
    return Decimal(units).scaleb(-places, EXACT)


def _without_sign_of_zero(value: float) -> float:
    # SQLite does not store it, but RETURNING would still show it.
    return value + 0.0


_CONVERTED: dict[str, Convert] = {
    "float": _without_sign_of_zero,
    "date": date.isoformat,
    "datetime": time_text,
    "uuid": str,
}


def _conversion(column: Column) -> Convert | None:
    """Return the function that converts a value, or an element of a list; None if it needs no conversion."""
    if column.kind == "decimal":
        return lambda value: int(value.scaleb(column.places, EXACT))
    return _CONVERTED.get(column.kind)


class Values:
    """Converts the values of a table for the driver. None stays None."""

    def __init__(self, table: Table) -> None:
        columns = all_columns(table)
        self.names = tuple(column.name for column in columns)
        self._in_order = itemgetter(*self.names)
        elements = {column.name: _conversion(column) for column in columns}
        wholes = {
            column.name: json_text if column.is_list or column.kind == "json" else elements[column.name]
            for column in columns
        }
        self._elements = {name: convert for name, convert in elements.items() if convert is not None}
        self._wholes = {name: convert for name, convert in wholes.items() if convert is not None}
        self._places = [
            (place, self._wholes[name]) for place, name in enumerate(self.names) if name in self._wholes
        ]

    def of_row(self, row: Row) -> list[Any]:
        """Return the values of a row in the order of `names`."""
        values = list(self._in_order(row))
        for place, convert in self._places:
            if values[place] is not None:
                values[place] = convert(values[place])
        return values

    def of_column(self, name: str, value: Any) -> Any:
        """Return the value of a column."""
        convert = self._wholes.get(name)
        return value if convert is None or value is None else convert(value)

    def of_filter(self, name: str, value: Any) -> Any:
        """Return the value of a filter: that of a column, or an element of a list."""
        convert = self._elements.get(name)
        return value if convert is None or value is None else convert(value)

    def in_order(self, row: Row) -> Row:
        """Return the row with its values in the order of the response model."""
        return dict(zip(self.names, self._in_order(row), strict=True))

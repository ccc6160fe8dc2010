"""Statistics of a table."""

import sqlite3
from collections.abc import Iterator
from decimal import ROUND_HALF_UP
from typing import Any

from app.forge.database.sqlite_statements import SUM_UNIT, figures, most_used
from app.forge.database.sqlite_values import from_decimal
from app.forge.fields import EXACT
from app.forge.table import Column, Table


def summary(connection: sqlite3.Connection, table: Table) -> dict[str, Any]:
    """Return the summary as described in `app.forge.store.Store`. Reads the whole table."""
    numbers = [column for column in table.columns if column.is_number]
    count, *found = connection.execute(figures(table, numbers)).fetchone()
    rest = iter(found)
    summed = {column.name: _figures(column, rest) for column in numbers}
    counted = {
        column.name: _counts(connection, table, column) for column in table.columns if column.is_counted
    }
    in_order = [column.name for column in table.columns if column.is_number or column.is_counted]
    return {"count": count, **{name: summed.get(name, counted.get(name)) for name in in_order}}


def _figures(column: Column, found: Iterator[Any]) -> dict[str, Any]:
    lowest, highest = next(found), next(found)
    if column.kind != "decimal":
        return {"min": lowest, "max": highest, "mean": next(found)}
    count, high, low = next(found), next(found), next(found)
    if not count:
        return {"min": None, "max": None, "mean": None}
    total = from_decimal(high * SUM_UNIT + low, column.places)
    mean = EXACT.divide(total, count).quantize(from_decimal(1, column.places), ROUND_HALF_UP, EXACT)
    exact = {
        "min": from_decimal(lowest, column.places),
        "max": from_decimal(highest, column.places),
        "mean": mean,
    }
    return {name: format(value, "f") for name, value in exact.items()}


def _counts(connection: sqlite3.Connection, table: Table, column: Column) -> list[dict[str, Any]]:
    found = connection.execute(most_used(table, column)).fetchall()
    is_bool = column.kind == "bool" and not column.is_list
    return [{"value": bool(value) if is_bool else value, "count": count} for value, count in found]

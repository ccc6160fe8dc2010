"""The rows that a delete affects through references: SQLite changes them, these statements find them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from app.forge.database.sqlite_statements import literal, quoted
from app.forge.table import OnDelete, Table


class Referrer(NamedTuple):
    """A column that refers to the rows of the table `to`."""

    table: str
    column: str
    to: str
    on_delete: OnDelete


class Dependents:
    """Statements that find the rows depending on one, by its id; None if no such rows can exist."""

    def __init__(self, table: Table, tables: Mapping[str, Table]) -> None:
        found = _reachable(table.name, _referrers(tables.values()))
        gone = _gone(table.name, [each for each in found if each.on_delete == "cascade"])
        changing = [each for each in found if each.on_delete != "restrict"]
        refusing = [each for each in found if each.on_delete == "restrict"]
        # The tables and ids of all rows that are deleted or changed with it, some more than once.
        self.changed = f"{gone} {' UNION ALL '.join(map(_depending, changing))}" if changing else None
        # The table, column and id of one row that prevents the delete.
        self.refusing = f"{gone} {' UNION ALL '.join(map(_refusing, refusing))} LIMIT 1" if refusing else None


def _referrers(tables: Iterable[Table]) -> list[Referrer]:
    return [
        Referrer(table.name, column.name, column.reference.to, column.reference.on_delete)
        for table in tables
        for column in table.columns
        if column.reference is not None
    ]


def _reachable(table: str, referrers: list[Referrer]) -> list[Referrer]:
    """Return the referrers of the table, and of all tables to which a delete may cascade."""
    going, last = {table}, set[str]()
    while going != last:
        last = going
        going = going | {each.table for each in referrers if each.to in going and each.on_delete == "cascade"}
    return [each for each in referrers if each.to in going]


def _gone(table: str, cascades: list[Referrer]) -> str:
    """Return a common table expression, `gone`, of the row and all rows that are deleted with it."""
    first = f"SELECT {literal(table)} AS of_table, ? AS id"
    return f"WITH RECURSIVE gone AS ({' UNION '.join([first, *map(_depending, cascades)])})"


def _depending(each: Referrer) -> str:
    return f"SELECT {literal(each.table)}, referrer.id {_of_gone(each)}"


def _refusing(each: Referrer) -> str:
    table, column = literal(each.table), literal(each.column)
    goes_too = f"SELECT 1 FROM gone AS other WHERE other.of_table = {table} AND other.id = referrer.id"
    return f"SELECT {table}, {column}, referrer.id {_of_gone(each)} AND NOT EXISTS ({goes_too})"


def _of_gone(each: Referrer) -> str:
    # CROSS JOIN: for each deleted row, look up its referrers by an index.
    found = f"{quoted(each.table)} AS referrer ON referrer.{quoted(each.column)} = gone.id"
    return f"FROM gone CROSS JOIN {found} WHERE gone.of_table = {literal(each.to)}"

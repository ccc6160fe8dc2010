"""Which rows depend on one that is deleted. SQLite itself removes or changes them; these statements say which."""

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
    """Statements about the rows that depend on a row of a table; all take its id, or are None if there can be none."""

    def __init__(self, table: Table, tables: Mapping[str, Table]) -> None:
        found = _reachable(table.name, _referrers(tables.values()))
        gone = _gone(table.name, [each for each in found if each.on_delete == "cascade"])
        changing = [each for each in found if each.on_delete != "restrict"]
        refusing = [each for each in found if each.on_delete == "restrict"]
        # Tables and ids of all that go or change with the row.
        self.changed = f"{gone} {' UNION '.join(map(_changed, changing))}" if changing else None
        # Table, column and id of one that keeps the row from being deleted.
        self.refusing = f"{gone} {' UNION '.join(map(_refusing, refusing))} LIMIT 1" if refusing else None


def _referrers(tables: Iterable[Table]) -> list[Referrer]:
    return [
        Referrer(table.name, column.name, column.reference.to, column.reference.on_delete)
        for table in tables
        for column in table.columns
        if column.reference is not None
    ]


def _reachable(table: str, referrers: list[Referrer]) -> list[Referrer]:
    """Return those that refer to the table, or to one whose rows may go with it."""
    going, last = {table}, set[str]()
    while going != last:
        last = going
        going = going | {each.table for each in referrers if each.to in going and each.on_delete == "cascade"}
    return [each for each in referrers if each.to in going]


def _gone(table: str, cascades: list[Referrer]) -> str:
    """Return the beginning of a statement, with the row and all that go with it in `gone`."""
    first = f"SELECT {literal(table)} AS of_table, ? AS id"
    more = [f"SELECT {literal(each.table)}, referrer.id {_of_gone(each)}" for each in cascades]
    return f"WITH RECURSIVE gone AS ({' UNION '.join([first, *more])})"


def _changed(each: Referrer) -> str:
    return f"SELECT {literal(each.table)}, referrer.id {_of_gone(each)}"


def _refusing(each: Referrer) -> str:
    table, column = literal(each.table), literal(each.column)
    goes_too = f"SELECT 1 FROM gone AS other WHERE other.of_table = {table} AND other.id = referrer.id"
    return f"SELECT {table}, {column}, referrer.id {_of_gone(each)} AND NOT EXISTS ({goes_too})"


def _of_gone(each: Referrer) -> str:
    # CROSS: from the rows that go to those that refer to them, by an index.
    found = f"{quoted(each.table)} AS referrer ON referrer.{quoted(each.column)} = gone.id"
    return f"FROM gone CROSS JOIN {found} WHERE gone.of_table = {literal(each.to)}"

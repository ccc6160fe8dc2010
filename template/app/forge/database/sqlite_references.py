"""What refers to the rows of a table, and what becomes of it when a row is deleted. SQLite itself does it; this tells."""

from collections.abc import Mapping
from typing import NamedTuple

from app.forge.database.sqlite_statements import literal, quoted
from app.forge.table import Column, Table


class Referrer(NamedTuple):
    """A column that refers to rows of the table `to`."""

    table: Table
    column: Column
    to: str
    on_delete: str


def referrers(tables: Mapping[str, Table]) -> list[Referrer]:
    """Return all columns that refer to other rows."""
    return [
        Referrer(table, column, column.reference.to, column.reference.on_delete)
        for table in tables.values()
        for column in table.columns
        if column.reference is not None
    ]


class Dependents:
    """Statements about the rows that depend on a row of a table; all take its id."""

    def __init__(self, table: Table, tables: Mapping[str, Table]) -> None:
        everywhere = referrers(tables)
        reached = {table.name}
        while more := {
            each.table.name for each in everywhere if each.to in reached and each.on_delete == "cascade"
        } - reached:
            reached |= more
        found = [each for each in everywhere if each.to in reached]
        self._gone = _gone(table, [each for each in found if each.on_delete == "cascade"])
        self._changing = [each for each in found if each.on_delete in ("cascade", "null")]
        self._refusing = [each for each in found if each.on_delete == "restrict"]
        self.nouns = {each.table.name: each.table.noun for each in found}
        # Tables and ids of the rows that go or change with it; None if there can be none.
        self.changed = self._union(map(_changed, self._changing)) if self._changing else None
        # Table, column and id of one that keeps the row from being deleted; None if there can be none.
        self.refusing = f"{self._union(map(_refused, self._refusing))} LIMIT 1" if self._refusing else None

    def _union(self, parts: object) -> str:
        return f"{self._gone} {' UNION '.join(parts)}"  # type: ignore[call-overload]


def _gone(table: Table, cascades: list[Referrer]) -> str:
    """Return the start of a statement that has the row and all that go with it in `gone`."""
    first = f"SELECT {literal(table.name)} AS of_table, ? AS id"
    more = (
        f" UNION SELECT {literal(each.table.name)}, row.id FROM gone CROSS JOIN {quoted(each.table.name)} AS row"
        f" ON row.{quoted(each.column.name)} = gone.id WHERE gone.of_table = {literal(each.to)}"
        for each in cascades
    )
    return f"WITH RECURSIVE gone AS ({first}{''.join(more)})"


def _referring(each: Referrer) -> str:
    return (
        f"FROM gone CROSS JOIN {quoted(each.table.name)} AS row ON row.{quoted(each.column.name)} = gone.id"
        f" WHERE gone.of_table = {literal(each.to)}"
    )


def _changed(each: Referrer) -> str:
    return f"SELECT {literal(each.table.name)}, row.id {_referring(each)}"


def _refused(each: Referrer) -> str:
    table = literal(each.table.name)
    goes_too = f"EXISTS (SELECT 1 FROM gone AS other WHERE other.of_table = {table} AND other.id = row.id)"
    return f"SELECT {table}, {literal(each.column.name)}, row.id {_referring(each)} AND NOT {goes_too}"

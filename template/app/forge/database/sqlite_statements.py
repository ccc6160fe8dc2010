"""The statements for a table, each made once; SQLite itself writes rows as JSON.

Every name goes through `quoted` and every value is bound. SQLite has few types: ids, dates and times are text, times
as both serializers write them; decimals are integers, as many times larger as they have places; lists and JSON are
text. Ids are UUIDv7, whose order is the order of creation, so the primary key serves the pages too.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.forge.fields import EXACT, json_text
from app.forge.table import Column, Table

# The function of every connection that writes a float as the shortest text that reads back exactly; SQLite's own has
# 15 digits.
FLOAT_JSON = "float_json"
# Functions of SQLite take 127 arguments.
JSON_MEMBERS = 63
# Sums of these parts of a decimal fit into an integer for every table that fits onto a disk.
SUM_PART = 10**9
MOST_USED = 10

ID, CREATED_AT, UPDATED_AT = Column("id", "uuid"), Column("created_at", "datetime"), Column("updated_at", "datetime")


def quoted(name: str) -> str:
    """Return the name as an identifier."""
    return '"{}"'.format(name.replace('"', '""'))


def literal(text: str) -> str:
    """Return the text as a constant."""
    return "'{}'".format(text.replace("'", "''"))


def side_table(table: str, column: str) -> str:
    """Return the name of the table that triggers keep for filters by elements of a list: `value` and `row_id`."""
    return quoted(f"{table}_{column}")


def to_database(column: Column) -> Callable[[Any], Any] | None:
    """Return what makes a value that the driver takes of one that is not None; None where it takes the value itself."""
    if column.is_list or column.kind == "json":
        return json_text
    return element_to_database(column)


def element_to_database(column: Column) -> Callable[[Any], Any] | None:
    """Return the same for one element of a list."""
    if column.kind == "decimal":
        return lambda value: int(value.scaleb(column.places, EXACT))
    return _TO_DATABASE.get(column.kind)


def from_decimal(units: int, places: int) -> Decimal:
    """Return the decimal that a column keeps as an integer."""
    return Decimal(units).scaleb(-places, EXACT)


def time_text(time: datetime) -> str:
    """Return the time as both serializers write it."""
    return time.isoformat().replace("+00:00", "Z")


def _float(value: float) -> float:
    # Of -0.0, SQLite keeps the sign in its answer to the INSERT, but not on disk.
    return value + 0.0


_TO_DATABASE: dict[str, Callable[[Any], Any]] = {
    "float": _float,
    "date": date.isoformat,
    "datetime": time_text,
    "uuid": UUID.__str__,
}


def json_object(members: Sequence[tuple[str, str]]) -> str:
    """Return an expression for a JSON object of these names and expressions."""
    first, rest = members[:JSON_MEMBERS], members[JSON_MEMBERS:]
    sql = f"json_object({_arguments((literal(name), value) for name, value in first)})"
    while rest:
        added, rest = rest[:JSON_MEMBERS], rest[JSON_MEMBERS:]
        paths = ((literal(f"$.{quoted(name)}"), value) for name, value in added)
        sql = f"json_set({sql}, {_arguments(paths)})"
    return sql


def _arguments(pairs: Any) -> str:
    return ", ".join(f"{name}, {value}" for name, value in pairs)


def column_json(column: Column, of: str) -> str:
    """Return an expression for the JSON of a column."""
    value = f"{of}.{quoted(column.name)}"
    if column.is_list or column.kind == "json":
        return f"json({value})"
    match column.kind:
        case "float":
            return f"json({FLOAT_JSON}({value}))"
        case "bool":
            return f"json(CASE {value} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END)"
        case "decimal":
            return _decimal_text(value, column.places)
        case _:
            return value


def _decimal_text(value: str, places: int) -> str:
    if not places:
        return f"CAST({value} AS TEXT)"
    unit = 10**places
    parts = f"CASE WHEN {value} < 0 THEN '-' ELSE '' END, abs({value}) / {unit}, abs({value}) % {unit}"
    return f"CASE WHEN {value} IS NOT NULL THEN printf('%s%d.%0{places}d', {parts}) END"


def row_members(table: Table, of: str) -> list[tuple[str, str]]:
    """Return the members of a row's JSON, in the order of the response model."""
    columns = (ID, *table.columns, CREATED_AT, UPDATED_AT)
    return [(column.name, column_json(column, of)) for column in columns]


class Statements:
    """Every statement of a table."""

    def __init__(self, table: Table, tables: Mapping[str, Table]) -> None:
        self._table = table
        self._name = name = quoted(table.name)
        self._id = f"{name}.{quoted('id')}"
        self._members = row_members(table, name)
        self._expanded = {
            column.relation: _expanded(name, column, tables[column.reference.to])
            for column in table.references
            if column.reference is not None and column.reference.to in tables
        }
        row = json_object(self._members)
        self.columns = ("id", *(column.name for column in table.columns), "created_at", "updated_at")
        names = ", ".join(map(quoted, self.columns))
        places = ", ".join("?" * len(self.columns))
        self.insert = f"INSERT INTO {name} ({names}) VALUES ({places})"
        self.insert_returning = f"{self.insert} RETURNING {row}"
        self.get = f"SELECT {row} FROM {name} WHERE {self._id} = ?"
        self.delete = f"DELETE FROM {name} WHERE {self._id} = ?"
        self._returning = f"{quoted('updated_at')} = ? WHERE {self._id} = ? RETURNING {row}"
        self.page = self.page_of((), ())
        self.filtered_pages = {
            column.name: self.page_of((column.name,), ()) for column in table.columns if column.is_filter
        }

    def update_of(self, columns: Sequence[str]) -> str:
        """Return the statement that sets these columns, the time of the change and returns the row."""
        assignments = "".join(f"{quoted(name)} = ?, " for name in columns)
        return f"UPDATE {self._name} SET {assignments}{self._returning}"

    def get_expanded(self, relations: Sequence[str]) -> str:
        """Return the statement for a row with the rows that these relations refer to."""
        return f"SELECT {self._row_with(relations)} FROM {self._name} WHERE {self._id} = ?"

    def page_of(self, filters: Sequence[str], relations: Sequence[str]) -> str:
        """Return the statement for a page of rows that match these filters; their values come first.

        The first filter by a list is where the walk begins, because its rows are in the order of the page.
        """
        lists, others = self._split(filters)
        cursor, tables = self._id, self._name
        conditions = [f"{self._name}.{quoted(name)} = ?" for name in others]
        if lists:
            side = side_table(self._table.name, lists[0])
            cursor = f"{side}.{quoted('row_id')}"
            # CROSS: SQLite keeps this order of the tables, so it never has to sort.
            tables = f"{side} CROSS JOIN {self._name} ON {self._id} = {cursor}"
            conditions.insert(0, f"{side}.{quoted('value')} = ?")
        conditions[1 if lists else 0 : 0] = [self._contains(name) for name in lists[1:]]
        where = " AND ".join([*conditions, f"{cursor} < ?"])
        selected = f"{self._id}, {self._row_with(relations)}"
        return f"SELECT {selected} FROM {tables} WHERE {where} ORDER BY {cursor} DESC LIMIT ?"

    def in_order(self, filters: Sequence[str]) -> list[str]:
        """Return the filters in the order in which `page_of` takes their values."""
        lists, others = self._split(filters)
        return [*lists, *others]

    def _split(self, filters: Sequence[str]) -> tuple[list[str], list[str]]:
        are_lists = {name: self._table.column(name).is_list for name in filters}
        return [name for name in filters if are_lists[name]], [name for name in filters if not are_lists[name]]

    def _contains(self, name: str) -> str:
        side = side_table(self._table.name, name)
        return f"EXISTS (SELECT 1 FROM {side} WHERE {side}.value = ? AND {side}.row_id = {self._id})"

    def _row_with(self, relations: Sequence[str]) -> str:
        return json_object([*self._members, *((name, self._expanded[name]) for name in relations)])


def _expanded(name: str, column: Column, target: Table) -> str:
    # No table has a name with a space.
    alias = quoted(f"expanded {column.relation}")
    row = json_object(row_members(target, alias))
    found = f"SELECT {row} FROM {quoted(target.name)} AS {alias} WHERE {alias}.id = {name}.{quoted(column.name)}"
    # Of a subquery, SQLite does not know that it is JSON.
    return f"json(({found}))"


def taken(table: Table, column: Column) -> str:
    """Return the statement that finds another row with a column's value."""
    return f"SELECT 1 FROM {quoted(table.name)} WHERE {quoted(column.name)} = ? AND id <> ?"


def exists(table: str) -> str:
    """Return the statement that finds a row of a table."""
    return f"SELECT 1 FROM {quoted(table)} WHERE id = ?"


def figures(column: Column) -> str:
    """Return the columns that sum up a number: four of a decimal, otherwise its figures."""
    value = quoted(column.name)
    if column.kind != "decimal":
        return f"min({value}), max({value}), avg({value})"
    sums = f"sum({value} / {SUM_PART}), sum({value} % {SUM_PART})"
    return f"min({value}), max({value}), count({value}), {sums}"


def most_used(table: Table, column: Column) -> str:
    """Return the statement for the values that a column has most often, each with its count."""
    name, value = quoted(table.name), quoted(column.name)
    if not column.is_list:
        rows = f"SELECT {value} AS value FROM {name} WHERE {value} IS NOT NULL"
    elif column.is_filter:
        rows = f"SELECT value FROM {side_table(table.name, column.name)}"
    else:
        rows = f"SELECT value FROM (SELECT DISTINCT {name}.id, value FROM {name}, json_each({name}.{value}))"
    counted = f"SELECT value, count(*) AS rows_with_it FROM ({rows}) GROUP BY value"
    return f"{counted} ORDER BY rows_with_it DESC, value LIMIT {MOST_USED}"

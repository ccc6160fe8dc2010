"""The SQL of a table, built once from its columns: every identifier is quoted, every value is a parameter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from app.forge.fields import json_text
from app.forge.table import Column, Kind, Table

Convert = Callable[[Any], Any]

# Of one element, if the column is a list. Words compare by code point, so that sorting does not depend on the locale.
TYPES: Mapping[Kind, str] = {
    "str": "text",
    "int": "bigint",
    "float": "double precision",
    "decimal": "numeric",
    "bool": "boolean",
    "date": "date",
    "datetime": "timestamptz",
    "uuid": "uuid",
    "json": "json",
}
# Kinds whose text in the database may differ from Python's: 1 and 1.0, 1e-07 and 1e-7, 0.00 and -0.00.
WRITTEN_OTHERWISE = frozenset[Kind]({"float", "decimal"})
# Kinds whose values JSON has as their text.
AS_TEXT = frozenset[Kind]({"date", "decimal", "uuid"})
# asyncpg reads the first and the last of these as infinity.
SENT_AS_TEXT = frozenset[Kind]({"date", "datetime"})
# The form in which both serializers write times: without a fraction if it is zero.
TIME = "replace(to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000Z', 'Z')"
# A power of two, so that nothing is rounded. Without it, sums of the largest numbers would overflow.
SCALE = "1152921504606846976::float8"

TOP = 10
# The maximum length of a name in PostgreSQL.
MAX_NAME_BYTES = 63
# Page statements that are kept per table: one for each requested set of filters and relations.
MAX_PAGES = 256


def quoted(name: str) -> str:
    """Return the name as an identifier in SQL."""
    return '"{}"'.format(name.replace('"', '""'))


def constraint_name(table: str, column: str, suffix: str) -> str:
    """Return the name that migrations give to a constraint of a column, as PostgreSQL truncates it."""
    return f"{table}_{column}_{suffix}"[:MAX_NAME_BYTES]


def parameter(number: int, column: Column) -> str:
    """Return the placeholder of a value of the column."""
    suffix = "[]" if column.is_list else ""
    through = f"::text{suffix}" if column.kind in SENT_AS_TEXT else ""
    return f"${number}{through}::{TYPES[column.kind]}{suffix}"


def converter(column: Column) -> Convert | None:
    """Return the conversion of a value to a parameter, or None if none is needed."""
    convert = {"date": _iso, "datetime": _iso, "json": json_text}.get(column.kind)
    if convert is None:
        return None
    if column.is_list:
        return lambda values: None if values is None else [convert(value) for value in values]
    if column.kind == "json" and not column.is_optional:
        return convert
    return lambda value: None if value is None else convert(value)


def one_of(column: Column) -> Column:
    """Return the column of one element of a list; other columns unchanged."""
    return replace(column, is_list=False)


def _iso(value: Any) -> str:
    return str(value.isoformat())


def _written(column: Column) -> str:
    """Return the expression for the column in JSON."""
    name = quoted(column.name)
    if column.kind == "decimal":
        return f"{name}::text{'[]' if column.is_list else ''} AS {name}"
    if column.kind == "datetime" and column.is_list:
        times = f"ARRAY(SELECT {TIME.format('_time')} FROM unnest({name}) AS _time)"
        return f"CASE WHEN {name} IS NOT NULL THEN {times} END AS {name}"
    if column.kind == "datetime":
        return f"{_time(name)} AS {name}"
    return name


def _time(name: str) -> str:
    return TIME.format(name)


def fields_of(table: Table) -> str:
    """Return the expressions for the columns of a row in JSON."""
    times = [f"{_time(quoted(name))} AS {quoted(name)}" for name in ("created_at", "updated_at")]
    return ", ".join([quoted("id"), *map(_written, table.columns), *times])


class Statements:
    """The statements of a table. Their own names start with `_`, which no column's name does.

    With `limited`, the owner is the last value of each that reads, changes or deletes, and in these tables it sees no
    rows of others.
    """

    def __init__(
        self, table: Table, tables: Mapping[str, Table], limited: frozenset[str] = frozenset()
    ) -> None:
        self._table = table
        self._tables = tables
        self._limited = limited
        self._name = quoted(table.name)
        self._fields = fields_of(table)
        self.names = ["id", *(column.name for column in table.columns), "created_at", "updated_at"]
        self.converters = {
            column.name: convert for column in table.columns if (convert := converter(column)) is not None
        }
        # By column, those that find the first of many values to which the owner may not refer.
        self.referable = {
            column.name: self.missing(column)
            for column in table.references
            if column.reference is not None and column.reference.to in limited
        }
        self.get = self._row(f"SELECT {self._fields} FROM {self._name} WHERE id = $1{self.own(2)}")
        columns = ", ".join(map(quoted, self.names))
        # True if the response to an insert comes from the database; otherwise it is known before.
        self.insert_returns = any(column.kind in WRITTEN_OTHERWISE for column in table.columns)
        self.insert = self._insert(columns)
        populated = ", ".join([quoted("id"), *map(_populated, table.columns), '"created_at"', '"updated_at"'])
        # One JSON document contains all rows: one round trip, all or nothing.
        self.insert_many = (
            f"INSERT INTO {self._name} ({columns}) SELECT {populated} "
            f"FROM json_populate_recordset(NULL::{self._name}, $1::json)"
        )
        self.update = self._update(self.own(4))
        self.delete = f"DELETE FROM {self._name} WHERE id = $1{self.own(2)} RETURNING id"
        # A row has another `xmin` after each change.
        self.get_version = (
            f"SELECT ({self._row(f'SELECT {self._fields}')}), xmin::text FROM {self._name} "
            f"WHERE id = $1{self.own(2)}"
        )
        self.update_version = self._update(f" AND xmin = $4::text::xid{self.own(5)}")
        self.delete_version = (
            f"DELETE FROM {self._name} WHERE id = $1 AND xmin = $2::text::xid{self.own(3)} RETURNING id"
        )
        self.lock = f"{self.get_version} FOR UPDATE"
        self.export = (
            f'SELECT "id", row_to_json(_row)::text FROM (SELECT {self._fields} FROM {self._name} '
            f"WHERE id < $1{self.own(3)} ORDER BY id DESC LIMIT $2) AS _row"
        )
        self.summary = self._summary()
        self.page = lru_cache(MAX_PAGES)(self._page)

    def get_expanded(self, relations: tuple[str, ...]) -> str:
        """Return the statement that reads one row with the rows that these relations refer to."""
        return self._row(
            f"SELECT {self._fields}{self._expanded(relations, 2)} FROM {self._name} AS _found "
            f"WHERE id = $1{self.own(2)}"
        )

    def missing(self, column: Column) -> str:
        """Return the statement that finds the first of many values that refers to no row, counted from 0."""
        assert column.reference is not None
        target = column.reference.to
        own = _of_owner(2) if target in self._limited else ""
        return _first(column, f"NOT EXISTS (SELECT FROM {quoted(target)} WHERE id = _value{own})")

    def taken(self, column: Column) -> str:
        """Return the statement that finds the first of many values that is taken, counted from 0."""
        return _first(column, f"EXISTS (SELECT FROM {self._name} WHERE {quoted(column.name)} = _value)")

    def own(self, number: int) -> str:
        """Return the end of a condition, in which the owner is the value with this number."""
        if not self._limited:
            return ""
        # Every value has to occur.
        return _of_owner(number) if self._table.name in self._limited else f" AND ${number}::text IS NOT NULL"

    def _row(self, rows: str) -> str:
        return f"SELECT row_to_json(_row)::text FROM ({rows}) AS _row"

    def _insert(self, columns: str) -> str:
        places = {column.name: column for column in self._table.columns}
        values = ", ".join(
            parameter(number, places[name]) if name in places else f"${number}"
            for number, name in enumerate(self.names, start=1)
        )
        insert = f"INSERT INTO {self._name} ({columns}) VALUES ({values})"
        if not self.insert_returns:
            return insert
        return f"WITH _new AS ({insert} RETURNING *) {self._row(f'SELECT {self._fields} FROM _new')}"

    def _update(self, condition: str) -> str:
        # Fields that are not in the JSON document of changes keep their value.
        names = ", ".join([*(quoted(column.name) for column in self._table.columns), '"updated_at"'])
        values = ", ".join(
            [*(_populated(column, "_new.") for column in self._table.columns), "$3::timestamptz"]
        )
        update = (
            f"UPDATE {self._name} AS _old SET ({names}) = "
            f"(SELECT {values} FROM json_populate_record(_old, $2::json) AS _new) WHERE id = $1{condition} RETURNING *"
        )
        return f"WITH _changed AS ({update}) {self._row(f'SELECT {self._fields} FROM _changed')}"

    def _page(self, filters: tuple[str, ...], relations: tuple[str, ...]) -> str:
        """Return the statement of a page; its values are the cursor, the limit, and one for each filter."""
        conditions = "".join(
            f" AND {_condition(self._table.column(name), number)}"
            for number, name in enumerate(filters, start=3)
        )
        if filters:
            # Always true for a limit. PostgreSQL does not know that and considers a generic plan expensive, so it plans
            # for these: a rare value is found by its index, a common one in the order of the pages.
            conditions += f" AND ($2::int > 0 OR id IN (SELECT id FROM {self._name}))"
        # UUIDv7 ids are in the order of creation, so the primary key serves the pages, too. With one row
        # more than requested, there is a next page.
        owner = len(filters) + 3
        conditions += self.own(owner)
        return (
            f"WITH _found AS MATERIALIZED (SELECT * FROM {self._name} WHERE id < $1{conditions} "
            "ORDER BY id DESC LIMIT $2::int + 1), "
            f"_shown AS (SELECT {self._fields}{self._expanded(relations, owner)} FROM _found LIMIT $2) "
            "SELECT coalesce(array_to_json(array_agg(_shown)), '[]')::text, "
            "CASE WHEN (SELECT count(*) FROM _found) > $2 THEN (array_agg(_shown.id))[$2] END FROM _shown"
        )

    def _expanded(self, relations: tuple[str, ...], owner: int) -> str:
        """Return one more column for each relation: the row that a row of `_found` refers to, or null.

        `owner` is the number of the value.
        """
        return "".join(
            f", {self._referred(column, owner)} AS {quoted(column.relation)}"
            for column in self._table.references
            if column.relation in relations
        )

    def _referred(self, column: Column, owner: int) -> str:
        assert column.reference is not None
        target = self._tables[column.reference.to]
        own = _of_owner(owner) if target.name in self._limited else ""
        rows = (
            f"SELECT {fields_of(target)} FROM {quoted(target.name)} "
            f"WHERE id = _found.{quoted(column.name)}{own}"
        )
        return f"(SELECT row_to_json(_row) FROM ({rows}) AS _row)"

    def _summary(self) -> str:
        """Return the statement for the count, three values of each number, and two lists of each counted column."""
        columns = self._table.columns
        figures = [", ".join(_figures(column)) for column in columns if column.is_number]
        count = f"SELECT {', '.join(['count(*)', *figures])} FROM {self._name} WHERE true{self.own(1)}"
        parts = [f"({count}) AS _all"]
        for number, column in enumerate(column for column in columns if column.is_counted):
            order = "_count DESC, _value"
            top = f"{self._counted(column)} GROUP BY _value ORDER BY {order} LIMIT {TOP}"
            value = "_value::text" if column.kind in AS_TEXT else "_value"
            lists = f"array_agg({value} ORDER BY {order}), array_agg(_count ORDER BY {order})"
            parts.append(f"(SELECT {lists} FROM ({top}) AS _counted) AS _top_{number}")
        return f"SELECT * FROM {', '.join(parts)}"

    def _counted(self, column: Column) -> str:
        name = quoted(column.name)
        if column.is_list:
            # JSON itself has no order.
            element = "_element::text" if column.kind == "json" else "_element"
            rows = f"{self._name}, unnest({name}) AS _element WHERE true{self.own(1)}"
            return f"SELECT {element} AS _value, count(DISTINCT id) AS _count FROM {rows}"
        rows = f"{self._name} WHERE {name} IS NOT NULL{self.own(1)}"
        return f"SELECT {name} AS _value, count(*) AS _count FROM {rows}"


def _of_owner(number: int) -> str:
    return f' AND "owner" = ${number}::text'


def _first(column: Column, condition: str) -> str:
    values = parameter(1, replace(column, is_list=True))
    return (
        f"SELECT _number::int - 1 FROM unnest({values}) WITH ORDINALITY AS _given (_value, _number) "
        f"WHERE _value IS NOT NULL AND {condition} ORDER BY _number LIMIT 1"
    )


def _populated(column: Column, of: str = "") -> str:
    name = f"{of}{quoted(column.name)}"
    # There null means that a column has no value, not that its value is JSON's null.
    is_json = column.kind == "json" and not column.is_list and not column.is_optional
    return f"coalesce({name}, 'null')" if is_json else name


def _condition(column: Column, number: int) -> str:
    name = quoted(column.name)
    value = parameter(number, one_of(column))
    return f"{name} @> ARRAY[{value}]" if column.is_list else f"{name} = {value}"


def _figures(column: Column) -> Sequence[str]:
    name = quoted(column.name)
    means = {
        "int": f"avg({name})::float8",
        "float": f"sum({name} / {SCALE}) / count({name}) * {SCALE}",
        # `numeric` rounds an average before it is rounded to the column's places.
        "decimal": f"ARRAY[sum({name}), count({name})]",
    }
    mean = means[column.kind]
    if column.kind == "float":
        mean = f"CASE WHEN count({name}) > 0 THEN {mean} END"
    text = "::text" if column.kind == "decimal" else ""
    return f"min({name}){text}", f"max({name}){text}", mean


def ping(tables: Sequence[Table], *, for_changes: bool) -> str:
    """Return a statement that fails if a table or column is missing, or, with `for_changes`, if the server is read-only."""
    # The first changes nothing, but a read-only server refuses it.
    rows = "WHERE false FOR UPDATE" if for_changes else "LIMIT 1"
    looks = []
    for table in tables:
        columns = ", ".join(quoted(column.name) for column in table.columns)
        looks.append(f"EXISTS (SELECT {columns} FROM {quoted(table.name)} {rows})")
    return f"SELECT {', '.join(looks)}"

"""The statements of a table. SQLite itself writes rows as JSON.

All values are bound. All names are quoted, and columns have their table in front: SQLite takes an unknown
column in double quotes for a string. Ids are UUIDv7, which sort by the time of creation, so pages use the
primary key.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from app.forge.database.sqlite_values import all_columns
from app.forge.table import Column, Referrer, Table, referrers_in

# A function of every connection: writes the shortest text that reads back exactly, as serializers do.
FLOAT_JSON = "float_json"
# SQLite functions take at most 127 arguments.
MEMBERS_AT_ONCE = 63
# Decimals are summed in two parts, above and below this unit, because a sum must fit into 64 bits.
SUM_UNIT = 10**9
MOST_USED = 10
# Statements cached per table, for combinations of filters and relations.
STATEMENTS_KEPT = 256
# The owner whose rows a statement is limited to, as its first value. No table's name has a space.
WITH_OWNER = 'WITH "the owner" (subject) AS (SELECT ?) '
THE_OWNER = '(SELECT subject FROM "the owner")'
# Kinds whose JSON may differ between SQLite and a serializer.
WRITTEN_BY_SQLITE = frozenset({"float", "decimal", "json"})


def quoted(name: str) -> str:
    """Return the name as an identifier."""
    return '"{}"'.format(name.replace('"', '""'))


def literal(text: str) -> str:
    """Return the text as a constant."""
    return "'{}'".format(text.replace("'", "''"))


def _of(table: Table, column: str) -> str:
    return f"{quoted(table.name)}.{quoted(column)}"


def elements(table: Table, column: str) -> str:
    """Return the table, maintained by triggers, of the elements of a list: `value` and `row_id`."""
    return quoted(f"{table.name}_{column}")


class Statements:
    """The statements of one table, each built once.

    With `limited`, the owner is the first value of each, and in these tables it sees no rows of others.
    """

    def __init__(
        self, table: Table, tables: Mapping[str, Table], limited: frozenset[str] = frozenset()
    ) -> None:
        self._table = table
        # The beginning of each, and the end of its condition.
        self.with_owner = WITH_OWNER if limited else ""
        self.own = own_rows(table) if table.name in limited else ""
        self._name = name = quoted(table.name)
        self._id = f"{name}.id"
        self._members = _row_members(table, name)
        self._expanded = {
            column.relation: _expanded(name, column, tables[column.reference.to], limited)
            for column in table.references
            if column.reference is not None and column.reference.to in tables
        }
        # By column, those that find a row which the owner may refer to.
        self.referable = {
            column.name: f"{WITH_OWNER}{row_of(column.reference.to)}{own_rows(tables[column.reference.to])}"
            for column in table.references
            if column.reference is not None and column.reference.to in limited
        }
        row = json_object(self._members)
        names = [column.name for column in all_columns(table)]
        into = f"{name} ({', '.join(map(quoted, names))}) VALUES ({', '.join('?' * len(names))})"
        self.insert = f"INSERT INTO {into}"
        self.insert_returning = f"{self.insert} RETURNING {row}"
        self.get = f"{self.with_owner}SELECT {row} FROM {name} WHERE {self._id} = ?{self.own}"
        self._changed = f"updated_at = ? WHERE {self._id} = ?{self.own} RETURNING {row}"
        self._lists = {column.name for column in table.columns if column.is_list}
        # Both take tuples. Building a statement can take longer than a point read.
        self.get_expanded = lru_cache(STATEMENTS_KEPT)(self._get_expanded)
        self.page_of = lru_cache(STATEMENTS_KEPT)(self._page_of)

    def update_of(self, columns: Iterable[str]) -> str:
        """Return the statement that sets these columns and `updated_at`, and returns the row as JSON."""
        assignments = "".join([f"{quoted(column)} = ?, " for column in columns])
        return f"{self.with_owner}UPDATE {self._name} SET {assignments}{self._changed}"

    def figures(self, columns: Iterable[Column]) -> str:
        """Return the statement that counts rows, and summarizes a number in three values, a decimal in five."""
        return f"{self.with_owner}{figures(self._table, columns)}{self.own.replace(' AND ', ' WHERE ', 1)}"

    def most_used(self, column: Column) -> str:
        """Return the statement for the most frequent values of a column, with their counts."""
        return f"{self.with_owner}{most_used(self._table, column, self.own)}"

    def _get_expanded(self, relations: tuple[str, ...]) -> str:
        """Return the statement for a row, expanded with the rows that these relations refer to."""
        selected = self._row_with(relations)
        return f"{self.with_owner}SELECT {selected} FROM {self._name} WHERE {self._id} = ?{self.own}"

    def in_order(self, filters: Iterable[str]) -> tuple[str, ...]:
        """Return the filters in the order that `page_of` requires: lists first."""
        return tuple(sorted(filters, key=lambda name: name not in self._lists))

    def _page_of(self, filters: tuple[str, ...], relations: tuple[str, ...]) -> str:
        """Return the statement for a page of rows that match all filters. Their values come first."""
        cursor, tables, conditions = self._id, self._name, []
        for name in filters:
            side = elements(self._table, name)
            if name not in self._lists:
                conditions.append(f"{_of(self._table, name)} = ?")
            elif not conditions:
                cursor = f"{side}.row_id"
                # Its rows are in page order. CROSS JOIN keeps SQLite from starting elsewhere and sorting.
                tables = f"{side} CROSS JOIN {self._name} ON {self._id} = {cursor}"
                conditions.append(f"{side}.value = ?")
            else:
                found = f"SELECT 1 FROM {side} AS other WHERE other.value = ? AND other.row_id = {self._id}"
                conditions.append(f"EXISTS ({found})")
        where = " AND ".join([*conditions, f"{cursor} < ?{self.own}"])
        selected = f"{self._id}, {self._row_with(relations)}"
        return (
            f"{self.with_owner}SELECT {selected} FROM {tables} WHERE {where} ORDER BY {cursor} DESC LIMIT ?"
        )

    def _row_with(self, relations: Sequence[str]) -> str:
        return json_object([*self._members, *((name, self._expanded[name]) for name in relations)])


def json_object(members: Sequence[tuple[str, str]]) -> str:
    """Return an expression for a JSON object with these names and values."""
    first, rest = members[:MEMBERS_AT_ONCE], members[MEMBERS_AT_ONCE:]
    sql = f"json_object({_arguments((literal(name), value) for name, value in first)})"
    while rest:
        first, rest = rest[:MEMBERS_AT_ONCE], rest[MEMBERS_AT_ONCE:]
        paths = ((literal(f"$.{quoted(name)}"), value) for name, value in first)
        sql = f"json_set({sql}, {_arguments(paths)})"
    return sql


def _arguments(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}, {value}" for name, value in pairs)


def _row_members(table: Table, of: str) -> list[tuple[str, str]]:
    return [
        (column.name, _column_json(column, f"{of}.{quoted(column.name)}")) for column in all_columns(table)
    ]


def _column_json(column: Column, value: str) -> str:
    """Return an expression for the value of a column in `json_object`."""
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
    text = f"printf('%lld.%0{places}lld', abs({value}) / {unit}, abs({value}) % {unit})"
    # Not `IS NOT NULL`, which is true of every column in RETURNING: SQLite 3.40 takes it for one that is NOT NULL.
    return f"CASE WHEN {value} < 0 THEN '-' || {text} WHEN {value} >= 0 THEN {text} END"


def own_rows(table: Table, alias: str = "") -> str:
    """Return the end of a condition for rows of the owner; `alias` is the name of the table in the statement."""
    return f" AND {alias or quoted(table.name)}.owner = {THE_OWNER}"


def _expanded(name: str, column: Column, target: Table, limited: frozenset[str]) -> str:
    # Table names have no spaces, so this is none of them.
    alias = quoted(f"expanded {column.relation}")
    row = json_object(_row_members(target, alias))
    own = own_rows(target, alias) if target.name in limited else ""
    source = f"{quoted(target.name)} AS {alias} WHERE {alias}.id = {name}.{quoted(column.name)}{own}"
    # SQLite may treat the result of a subquery as plain text.
    return f"json((SELECT {row} FROM {source}))"


def presence(table: Table) -> str:
    """Return a statement that fails if the table or one of its columns is missing."""
    selected = ", ".join(_of(table, column.name) for column in all_columns(table))
    return f"SELECT {selected} FROM {quoted(table.name)} LIMIT 1"


def another_with(table: Table, column: Column) -> str:
    """Return the statement that finds another row with this value."""
    return f"SELECT 1 FROM {quoted(table.name)} WHERE {_of(table, column.name)} = ? AND id <> ?"


def row_of(table: str) -> str:
    """Return the statement that finds the row with this id."""
    return f"SELECT 1 FROM {quoted(table)} WHERE id = ?"


def figures(table: Table, columns: Iterable[Column]) -> str:
    """Return the statement that counts rows, and summarizes a number in three values, a decimal in five."""
    selected = ", ".join(["count(*)", *(_figures(column, _of(table, column.name)) for column in columns)])
    return f"SELECT {selected} FROM {quoted(table.name)}"


def _figures(column: Column, value: str) -> str:
    if column.kind != "decimal":
        return f"min({value}), max({value}), avg({value})"
    sums = f"sum({value} / {SUM_UNIT}), sum({value} % {SUM_UNIT})"
    return f"min({value}), max({value}), count({value}), {sums}"


def most_used(table: Table, column: Column, own: str = "") -> str:
    """Return the statement for the most frequent values of a column, with their counts.

    `own` is the end of its condition.
    """
    name, value = quoted(table.name), _of(table, column.name)
    if not column.is_list:
        found = f"SELECT {value} AS value FROM {name} WHERE {value} IS NOT NULL{own}"
    elif column.is_filter and not own:
        found = f"SELECT value FROM {elements(table, column.name)}"
    else:
        found = f"SELECT value FROM (SELECT DISTINCT {name}.id, value FROM {name}, json_each({value}) WHERE true{own})"
    counted = f"SELECT value, count(*) AS rows_with_it FROM ({found}) GROUP BY value"
    return f"{counted} ORDER BY rows_with_it DESC, value LIMIT {MOST_USED}"


class Dependents:
    """Statements that delete a row by its id, and find the rows depending on it; None if no such rows can exist."""

    def __init__(self, table: Table, tables: Mapping[str, Table]) -> None:
        self.delete = f"DELETE FROM {quoted(table.name)} WHERE id = ?"
        found = _reachable(table.name, referrers_in(tables.values()))
        gone = _gone(table.name, [each for each in found if each.on_delete == "cascade"])
        changing = [each for each in found if each.on_delete != "restrict"]
        refusing = [each for each in found if each.on_delete == "restrict"]
        # The tables and ids of all rows that are deleted or changed with it, some more than once.
        self.changed = f"{gone} {' UNION ALL '.join(map(_depending, changing))}" if changing else None
        # The table of one row that prevents the delete.
        self.refusing = f"{gone} {' UNION ALL '.join(map(_refusing, refusing))} LIMIT 1" if refusing else None


def _reachable(table: str, referrers: list[Referrer]) -> list[Referrer]:
    """Return the referrers of the table, and of all tables to which a delete may cascade."""
    going, last = {table}, set[str]()
    while going != last:
        last = going
        going = going | {
            each.table.name for each in referrers if each.to in going and each.on_delete == "cascade"
        }
    return [each for each in referrers if each.to in going]


def _gone(table: str, cascades: list[Referrer]) -> str:
    """Return a common table expression, `gone`, of the row and all rows that are deleted with it."""
    first = f"SELECT {literal(table)} AS of_table, ? AS id"
    return f"WITH RECURSIVE gone AS ({' UNION '.join([first, *map(_depending, cascades)])})"


def _depending(each: Referrer) -> str:
    return f"SELECT {literal(each.table.name)}, referrer.id {_of_gone(each)}"


def _refusing(each: Referrer) -> str:
    table = literal(each.table.name)
    goes_too = f"SELECT 1 FROM gone AS other WHERE other.of_table = {table} AND other.id = referrer.id"
    return f"SELECT {table} {_of_gone(each)} AND NOT EXISTS ({goes_too})"


def _of_gone(each: Referrer) -> str:
    # CROSS JOIN: for each deleted row, look up its referrers by an index.
    found = f"{quoted(each.table.name)} AS referrer ON referrer.{quoted(each.column.name)} = gone.id"
    return f"FROM gone CROSS JOIN {found} WHERE gone.of_table = {literal(each.to)}"

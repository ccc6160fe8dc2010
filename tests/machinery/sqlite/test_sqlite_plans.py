"""SQLite's plans for the statements of each resource, with the indexes of the migrations."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from pydantic import BaseModel

from app.forge.database.sqlite import connect
from app.forge.database.sqlite_statements import Dependents, Statements, another_with, row_of
from app.forge.fields import Reference
from app.forge.table import Reference as To
from app.forge.table import Table, table_of
from app.resources import RESOURCES
from app.settings import Settings

AXES: tuple[str, ...] = ()
ON_ANY_PYTHON = True

TABLES = {resource.table.name: resource.table for resource in RESOURCES}
# Rows found earlier by other lines of the same plan, and not rows of a table.
FOUND = ("SCAN gone", "SCAN other", "SCAN the owner", "SCAN CONSTANT ROW", "SCAN 1 CONSTANT ROW")
STEPS = ("SEARCH", "SCAN", "USE TEMP B-TREE FOR ORDER BY")

each_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


@pytest.fixture
def connection(settings: Settings, _empty_database: None) -> Iterator[sqlite3.Connection]:
    with closing(connect(settings, 1, "foreign_keys = ON")) as connection:
        yield connection


def steps_of(connection: sqlite3.Connection, sql: str) -> list[str]:
    """Return how SQLite finds rows, and whether it sorts them."""
    found = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?")).fetchall()
    return [detail for *_, detail in found if detail.startswith(STEPS) and detail not in FOUND]


def assert_bounded(connection: sqlite3.Connection, sql: str) -> None:
    steps = steps_of(connection, sql)
    assert steps, sql
    for step in steps:
        assert step.startswith("SEARCH"), f"{step} in {sql}"
        assert " USING " in step, f"{step} in {sql}"


def filters_of(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.is_filter]


@each_table
def test_a_row_is_found_by_its_key(connection: sqlite3.Connection, table: Table) -> None:
    sql = Statements(table, TABLES)
    for statement in (sql.get, sql.update_of([column.name for column in table.columns])):
        assert_bounded(connection, statement)
    assert_bounded(connection, row_of(table.name))


@each_table
def test_a_page_with_any_single_filter_walks_an_index(connection: sqlite3.Connection, table: Table) -> None:
    sql = Statements(table, TABLES)
    relations = tuple(column.relation for column in table.references)
    assert_bounded(connection, sql.page_of((), relations))
    for name in filters_of(table):
        assert_bounded(connection, sql.page_of((name,), ()))
        assert_bounded(connection, sql.page_of((name,), relations))
        (walked, *_) = steps_of(connection, sql.page_of((name,), ()))
        found = "value=? AND row_id<?" if table.column(name).is_list else f"{name}=? AND id<?"
        assert found in walked or table.column(name).is_unique, walked


@each_table
def test_a_row_is_found_with_its_references(connection: sqlite3.Connection, table: Table) -> None:
    relations = tuple(column.relation for column in table.references)
    assert_bounded(connection, Statements(table, TABLES).get_expanded(relations))


@each_table
def test_pages_with_two_filters_are_never_sorted(connection: sqlite3.Connection, table: Table) -> None:
    sql, names = Statements(table, TABLES), filters_of(table)
    pairs = [sql.in_order({one, other}) for one in names for other in names if one != other]
    for pair in pairs:
        assert_bounded(connection, sql.page_of(pair, ()))


@each_table
def test_a_delete_finds_references_to_the_row_by_an_index(
    connection: sqlite3.Connection, table: Table
) -> None:
    assert_bounded(connection, Dependents(table, TABLES).delete)
    dependents = Dependents(table, TABLES)
    for statement in filter(None, (dependents.changed, dependents.refusing)):
        assert_bounded(connection, statement)


@each_table
def test_a_unique_value_is_found_by_an_index(connection: sqlite3.Connection, table: Table) -> None:
    for column in table.columns:
        for statement in [another_with(table, column)] * column.is_unique:
            assert_bounded(connection, statement)


class NoteDraft(BaseModel):
    """The fields of an owned table."""

    text: str
    before_id: Reference | None = None


NOTES = table_of(
    "notes", "note", NoteDraft, filters=["text"], references={"before_id": To("notes")}, owned=True
)
CREATED = """
    CREATE TABLE notes (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, text TEXT NOT NULL, before_id TEXT REFERENCES notes (id),
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX notes_owner_idx ON notes (owner, id);
    CREATE INDEX notes_text_idx ON notes (text, id)
"""


@pytest.fixture
def with_notes(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.executescript(CREATED)
    yield connection
    connection.execute("DROP TABLE notes")


def test_statements_of_an_owner_walk_an_index(with_notes: sqlite3.Connection) -> None:
    sql = Statements(NOTES, {"notes": NOTES}, frozenset({"notes"}))
    statements = (sql.get, sql.update_of(["text"]), sql.get_expanded(("before",)), *sql.referable.values())
    for statement in (*statements, sql.page_of(("text",), ()), sql.figures([])):
        assert_bounded(with_notes, statement)
    for relations in ((), ("before",)):
        statement = sql.page_of((), relations)
        assert_bounded(with_notes, statement)
        assert any("owner=? AND id<?" in step for step in steps_of(with_notes, statement))

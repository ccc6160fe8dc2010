"""The migrations of SQLite, rendered from the steps of an answer, run up and down on tables with rows."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined, Template

from tests.repository import TEMPLATE

FOLDER = TEMPLATE / "migrations/sqlite/versions"
NAMES = ["order", "group", "select", "values", "check"]
FIELD: dict[str, Any] = {
    "list": False,
    "optional": False,
    "unique": False,
    "filter": False,
    "min": None,
    "max": None,
    "digits": None,
    "places": None,
    "words": [],
    "target": "",
    "on_delete": "",
    "has_default": False,
    "default": None,
}
# Per kind: a default, and its stored form in SQLite.
DEFAULTS: dict[str, tuple[Any, Any]] = {
    "str": ("a b-c é", "a b-c é"),
    "int": (-7, -7),
    "float": (0.5, 0.5),
    "decimal": ("-19.9", -1990),
    "bool": (True, 1),
    "date": ("2026-02-28", "2026-02-28"),
    "enum": ("paid", "paid"),
}
# Per kind: bounds, and the value of a restored required field.
STAND_INS: dict[str, tuple[dict[str, Any], Any]] = {
    "str": ({"min": 3, "max": 9}, "---"),
    "int": ({"min": 5, "max": 9}, 5),
    "float": ({"max": -0.5}, -0.5),
    "decimal": ({"min": "0.25"}, 25),
    "bool": ({}, 0),
    "date": ({}, "1970-01-01"),
    "datetime": ({}, "1970-01-01T00:00:00Z"),
    "uuid": ({}, "00000000-0000-0000-0000-000000000000"),
    "enum": ({}, "open"),
    "json": ({}, "null"),
}


def field(name: str, kind: str, **values: Any) -> dict[str, Any]:
    of_decimal = {"digits": 12, "places": 2} if kind == "decimal" else {}
    given = {"words": ["open", "paid"] if kind == "enum" else [], **of_decimal}
    return {**FIELD, "name": name, "kind": kind, **given, **values}


def noun(plural: str, *fields: dict[str, Any]) -> dict[str, Any]:
    return {"plural": plural, "fields": fields}


ITEMS = noun("items", field("name", "str", unique=True))


def step(do: str, of: dict[str, Any], field: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"do": do, "noun": of, "field": field}


@cache
def template() -> Template:
    """Return the template of all migrations."""
    (path,) = FOLDER.glob("*.jinja")
    options: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = Environment(**options, undefined=StrictUndefined, autoescape=False)
    return environment.from_string(path.read_text(encoding="utf-8"))


def source_of(steps: Sequence[dict[str, Any]], after: str = "") -> str:
    """Return the migration as it is rendered."""
    migration = {"id": "0002", "after": after, "title": "Change something", "steps": steps}
    return template().render(migration=migration)


class Migrated:
    """A database in memory with the tables that steps created, and its downgrades."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def migrate(self, *steps: dict[str, Any]) -> list[str]:
        """Run the steps as one migration, and return the statements that undo them."""
        namespace: dict[str, Any] = {}
        exec(source_of(steps).replace("from alembic import op\n", ""), namespace)
        self.execute(namespace["UPGRADE"])
        statements: list[str] = namespace["DOWNGRADE"]
        return statements

    def execute(self, statements: Sequence[str]) -> None:
        """Run statements in a transaction, without foreign keys until its end, as migrations run."""
        self.connection.execute("PRAGMA foreign_keys = OFF")
        self.connection.execute("BEGIN")
        for statement in statements:
            self.connection.execute(statement)
        assert self.connection.execute("PRAGMA foreign_key_check").fetchall() == []
        self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA foreign_keys = ON")

    def insert(self, table: str, **values: Any) -> None:
        """Add a row; its times do not matter."""
        row = {**values, "created_at": "", "updated_at": ""}
        names = ", ".join(f'"{name}"' for name in row)
        self.connection.execute(
            f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(row))})', tuple(row.values())
        )

    def values(self, table: str, column: str) -> list[Any]:
        """Return the values of a column, the oldest first; fail if the column is missing."""
        sql = f'SELECT "{table}"."{column}" FROM "{table}" ORDER BY id'
        return [value for (value,) in self.connection.execute(sql)]

    def schema(self) -> dict[tuple[str, str], list[Any]]:
        """Return tables, indexes and triggers, with the name, type and NOT NULL of their columns."""
        found = self.connection.execute("SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        columns = 'SELECT name, type, "notnull" FROM pragma_table_xinfo(?)'
        return {
            (type_, name): self.connection.execute(columns, (name,)).fetchall()
            for type_, name in found.fetchall()
        }


@pytest.fixture
def migrated() -> Iterator[Migrated]:
    """Yield a database with two items."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrated = Migrated(connection)
        migrated.migrate(step("create", ITEMS))
        for number in "12":
            migrated.insert("items", id=number, name=f"item {number}")
        yield migrated


def all_kinds(**values: Any) -> list[dict[str, Any]]:
    kinds = [*STAND_INS]
    return [
        *(field(f"{kind}_field", kind, **values) for kind in kinds),
        *(field(f"{kind}_list", kind, list=True, **values) for kind in ("str", "int", "uuid")),
    ]


@pytest.mark.parametrize("added", all_kinds(optional=True), ids=lambda each: each["name"])
@pytest.mark.parametrize("options", [{}, {"filter": True}, {"unique": True}])
def test_an_optional_field_is_null_in_existing_rows_and_can_be_removed(
    migrated: Migrated, added: dict[str, Any], options: dict[str, bool]
) -> None:
    before = migrated.schema()
    back = migrated.migrate(step("add", ITEMS, {**added, **options}))
    assert migrated.values("items", added["name"]) == [None, None]
    assert migrated.schema() != before
    migrated.execute(back)
    assert migrated.schema() == before
    assert migrated.values("items", "name") == ["item 1", "item 2"]


@pytest.mark.parametrize("kind", DEFAULTS)
@pytest.mark.parametrize("options", [{}, {"filter": True}, {"optional": True}])
def test_a_field_with_a_default_has_it_in_existing_rows(
    migrated: Migrated, kind: str, options: dict[str, bool]
) -> None:
    before = migrated.schema()
    default, kept = DEFAULTS[kind]
    added = field("order", kind, has_default=True, default=default, **options)
    back = migrated.migrate(step("add", ITEMS, added))
    assert migrated.values("items", "order") == [kept, kept]
    migrated.execute(back)
    assert migrated.schema() == before


@pytest.mark.parametrize(
    ("kind", "default", "kept"),
    [
        ("str", ["a", "b c"], '["a","b c"]'),
        ("int", [1, -2], "[1,-2]"),
        ("uuid", [], "[]"),
        ("str", None, "[]"),
    ],
)
def test_a_list_with_a_default_is_found_by_its_elements(
    migrated: Migrated, kind: str, default: list[Any] | None, kept: str
) -> None:
    before = migrated.schema()
    added = field("values", kind, list=True, filter=True, has_default=True, default=default)
    back = migrated.migrate(step("add", ITEMS, added))
    assert migrated.values("items", "values") == [kept, kept]
    elements = json.loads(kept)
    found = migrated.connection.execute("SELECT value, row_id FROM items_values").fetchall()
    assert sorted(found, key=str) == sorted(((each, row) for each in elements for row in "12"), key=str)
    new = "[7]" if kind == "int" else '["seven"]'
    migrated.connection.execute('UPDATE items SET "values" = ? WHERE id = 1', (new,))
    migrated.connection.execute("DELETE FROM items WHERE id = 2")
    assert migrated.connection.execute("SELECT row_id FROM items_values").fetchall() == [("1",)]
    migrated.execute(back)
    assert migrated.schema() == before


@pytest.mark.parametrize("kind", STAND_INS)
def test_a_required_field_that_was_dropped_comes_back_with_a_value_within_its_bounds(
    migrated: Migrated, kind: str
) -> None:
    bounds, kept = STAND_INS[kind]
    lost = field("select", kind, **bounds)
    with_it = noun("things", lost, field("name", "str"))
    migrated.migrate(step("create", with_it))
    migrated.insert("things", id="1", select=DEFAULTS.get(kind, ("", ""))[1], name="a")
    before = migrated.schema()[("table", "things")]
    back = migrated.migrate(step("drop", with_it, lost))
    assert migrated.values("things", "name") == ["a"]
    migrated.execute(back)
    assert migrated.values("things", "select") == [kept]
    assert sorted(migrated.schema()[("table", "things")]) == sorted(before)


@pytest.mark.parametrize("kind", ["str", "int", "float", "decimal", "date", "uuid"])
def test_a_unique_field_that_was_dropped_comes_back_with_a_value_for_each_row(
    migrated: Migrated, kind: str
) -> None:
    lost = field("group", kind, unique=True)
    things = noun("things", lost)
    migrated.migrate(step("create", things))
    for number in range(3):
        kept = DEFAULTS.get(kind, ("", ""))[1]
        migrated.insert(
            "things", id=str(number), group=f"{kept}{number}" if isinstance(kept, str) else kept + number
        )
    before = migrated.schema()
    migrated.execute(migrated.migrate(step("drop", things, lost)))
    assert len(set(migrated.values("things", "group"))) == 3
    assert migrated.schema().keys() == before.keys()


# A unique field with few values, and those that three rows get when it is brought back.
FEW: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "str": ({"min": 1, "max": 1}, ["À", "Á", "Â"]),
    "str of two": ({"min": 2, "max": 3}, ["À-", "Á-", "Â-"]),
    "str of more": ({"min": 3, "max": 9}, ["001", "002", "003"]),
    "int": ({"min": -1, "max": 1}, [-1, 0, 1]),
    "int with a maximum": ({"max": -5}, [-5, -6, -7]),
    "float": ({"min": 0.5, "max": 1.5}, [1.0, 0.5 + 1 / 3, 0.75]),
    "decimal": ({"digits": 18, "places": 18, "min": f"0.{'0' * 17}1"}, [1, 2, 3]),
    "decimal with a maximum": ({"max": "-1.00"}, [-100, -101, -102]),
    "decimal of one digit": ({"digits": 1, "places": 1}, [-9, -8, -7]),
    "enum": ({"words": ["open", "paid", "+"]}, ["open", "paid", "+"]),
    "datetime": ({}, ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z"]),
    "date": ({}, ["1970-01-01", "1970-01-02", "1970-01-03"]),
}


@pytest.mark.parametrize("case", FEW)
def test_a_unique_field_that_was_dropped_comes_back_with_values_that_it_can_have(
    migrated: Migrated, case: str
) -> None:
    values, expected = FEW[case]
    lost = field("group", case.partition(" ")[0], unique=True, **values)
    things = noun("things", lost, field("name", "str"))
    migrated.migrate(step("create", things))
    back = migrated.migrate(step("drop", things, lost))
    for number in "123":
        migrated.insert("things", id=number, name="a")
    migrated.execute(back)
    assert migrated.values("things", "group") == expected


@pytest.mark.parametrize(
    ("minimum", "kept"), [("0.000000000000000001", 1), ("0.999999999999999999", 10**18 - 1)]
)
def test_a_decimal_that_was_dropped_comes_back_exactly(migrated: Migrated, minimum: str, kept: int) -> None:
    lost = field("group", "decimal", digits=18, places=18, min=minimum)
    things = noun("things", lost, field("name", "str"))
    migrated.migrate(step("create", things))
    back = migrated.migrate(step("drop", things, lost))
    migrated.insert("things", id="1", name="a")
    migrated.execute(back)
    assert migrated.values("things", "group") == [kept]


def test_a_list_that_was_dropped_comes_back_empty_with_its_triggers(migrated: Migrated) -> None:
    lost = field("values", "str", list=True, filter=True)
    things = noun("things", lost)
    migrated.migrate(step("create", things))
    migrated.insert("things", id="1", values='["a"]')
    before = migrated.schema()
    migrated.execute(migrated.migrate(step("drop", things, lost)))
    assert migrated.schema().keys() == before.keys()
    assert migrated.values("things", "values") == ["[]"]
    migrated.connection.execute("""UPDATE things SET "values" = '["b"]'""")
    assert migrated.connection.execute("SELECT value FROM things_values").fetchall() == [("b",)]


@pytest.mark.parametrize(
    ("on_delete", "left"), [("restrict", None), ("cascade", []), ("null", [None]), ("", None)]
)
def test_a_reference_follows_its_on_delete(
    migrated: Migrated, on_delete: str, left: list[Any] | None
) -> None:
    added = field("item_id", "ref", target="items", on_delete=on_delete, optional=True)
    things = noun("things", field("name", "str"))
    migrated.migrate(step("create", things))
    before = migrated.schema()
    back = migrated.migrate(step("add", things, added))
    migrated.insert("things", id="1", name="a", item_id="1")
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        migrated.insert("things", id="2", name="a", item_id="missing")
    if left is None:
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            migrated.connection.execute("DELETE FROM items WHERE id = '1'")
    else:
        migrated.connection.execute("DELETE FROM items WHERE id = '1'")
        assert migrated.values("things", "item_id") == left
    migrated.execute(back)
    assert migrated.schema() == before


def test_a_required_reference_that_was_dropped_comes_back_without_values(migrated: Migrated) -> None:
    lost = field("item_id", "ref", target="items", on_delete="cascade")
    things = noun("things", lost)
    migrated.migrate(step("create", things))
    migrated.insert("things", id="1", item_id="1")
    migrated.execute(migrated.migrate(step("drop", things, lost)))
    assert migrated.values("things", "item_id") == [None]


def test_a_resource_that_was_removed_comes_back_empty(migrated: Migrated) -> None:
    things = noun(
        "things", *all_kinds(filter=True), field("item_id", "ref", target="items", on_delete="restrict")
    )
    migrated.migrate(step("create", things))
    before = migrated.schema()
    back = migrated.migrate(step("remove", things))
    assert not [name for _, name in migrated.schema() if name.startswith("things")]
    migrated.execute(back)
    assert migrated.schema() == before


def test_steps_of_one_migration_are_undone_in_reverse(migrated: Migrated) -> None:
    before = migrated.schema()
    things = noun("things", field("item_id", "ref", target="items", on_delete="restrict", filter=True))
    note = field("note", "str", optional=True, filter=True)
    back = migrated.migrate(step("create", things), step("add", things, note), step("add", ITEMS, note))
    migrated.insert("things", id="1", item_id="1", note="a")
    migrated.execute(back)
    assert migrated.schema() == before


@pytest.mark.parametrize("after", ["", "0001"])
def test_a_migration_is_formatted_and_without_lint(after: str) -> None:
    long = "a" * 30
    fields = [*all_kinds(filter=True), field(f"{long}_id", "ref", target=long, on_delete="cascade")]
    unique = [{**each, "unique": True, "name": f"{each['name']}_too"} for each in fields]
    things = noun(long, *fields, *unique)
    steps = [
        step("create", things),
        *(step(do, things, each) for do in ("add", "drop") for each in things["fields"]),
    ]
    source = source_of([*steps, step("remove", things)], after)
    settings = [
        "--config",
        str(TEMPLATE / "pyproject.toml"),
        "--stdin-filename",
        "migrations/sqlite/versions/0002.py",
    ]
    for check in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *check, *settings, "-"]
        done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

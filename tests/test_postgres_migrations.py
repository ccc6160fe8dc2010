"""The migrations of PostgreSQL, rendered from the steps of an answer, run up and down on tables with rows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
from fastforge.template.grammar import grammar
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from testkit.servers.postgres import PostgresServer
from tests.repository import REPOSITORY, TEMPLATE

VERSIONS = "template/migrations/postgres/versions"
ITEMS: dict[str, Any] = {"name": "item", "fields": ["name:str:unique"]}
ID = "00000000-0000-0000-0000-{:012}".format
# Each type, and the value of a restored required field: in any row, or in the second one if it is unique.
KINDS = {
    "str:min=3:max=9": ("---", "002"),
    "int:min=5:max=900": (5, 6),
    "int:max=-5": (-5, -6),
    "float:min=0.5": ("0.5", "1.5"),
    "decimal:digits=6:places=2:min=0.25": ("0.25", "0.26"),
    "decimal:digits=6:places=2:max=-1": ("-1.00", "-1.01"),
    "decimal:digits=18:places=18:min=0.000000000000000001": ("0.000000000000000001", "0.000000000000000002"),
    "decimal:digits=1:places=1": ("0.0", "-0.8"),
    "float:min=0.5:max=1.5": ("0.5", "0.8333333333333334"),
    "str:min=2:max=3": ("--", "Á-"),
    "bool": (False, True),
    "date": ("2000-01-01", "2000-01-03"),
    "datetime": ("2000-01-01T00:00:00+00:00", "2000-01-01T00:00:02+00:00"),
    "uuid": (ID(1), ID(2)),
    "enum=open,paid": ("open", "paid"),
    "json": (None, None),
    "list=str": ([], []),
    "list=int": ([], []),
    "list=uuid": ([], []),
}
DEFAULTS = {
    "str:default=a b-é": "a b-é",
    "int:default=-7": -7,
    "float:default=0.5": "0.5",
    "decimal:digits=6:places=2:default=-19.9": "-19.90",
    "bool:default=true": True,
    "date:default=2026-02-28": "2026-02-28",
    "enum=open,paid:default=paid": "paid",
    "list=str:default=": [],
    "list=str:default=a,b c": ["a", "b c"],
    "list=int:default=1,-2": [1, -2],
    "list=uuid:default=": [],
}
OPTIONS = {
    "str": ["filter", "unique"],
    "list": ["filter"],
    "json": [],
    "float": ["unique"],
    "bool": ["filter"],
}
SCHEMA = """
    SELECT table_name, column_name, data_type, is_nullable, collation_name, numeric_precision, numeric_scale
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, column_name
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname"
CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace ORDER BY conname
"""


@cache
def template() -> Template:
    """Return the template of all migrations."""
    options: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "keep_trailing_newline": True}
    environment = Environment(
        **options,
        undefined=StrictUndefined,
        autoescape=False,
        loader=FileSystemLoader(REPOSITORY),
    )
    (path,) = (REPOSITORY / VERSIONS).glob("*.jinja")
    return environment.get_template(f"{VERSIONS}/{path.name}")


def migrations_of(*revisions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the migrations of these steps as the template receives them."""
    ids = ["0001", *(f"{number:012x}" for number in range(1, len(revisions)))]
    answer = [
        {"id": id_, "after": after, "steps": list(steps)}
        for id_, after, steps in zip(ids, ["", *ids], revisions, strict=False)
    ]
    migrations: list[dict[str, Any]] = grammar().migrations_of(answer)
    return migrations


def source_of(migration: dict[str, Any]) -> str:
    """Return the migration as it is rendered."""
    return template().render(migration=migration)


class Migrated:
    """A database with the tables that steps created."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(asyncpg.connect(url))

    def close(self) -> None:
        """Close the connection."""
        self.runner.run(self.connection.close())
        self.runner.close()

    def execute(self, *statements: str) -> None:
        """Run the statements in a transaction, as a migration runs."""

        async def execute() -> None:
            async with self.connection.transaction():
                for sql in statements:
                    await self.connection.execute(sql)

        self.runner.run(execute())

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the result of a query."""
        return [tuple(row) for row in self.runner.run(self.connection.fetch(sql))]

    def values(self, table: str, column: str) -> list[Any]:
        """Return the JSON of a column, the oldest row first."""
        sql = f'SELECT to_json("{column}")::text FROM "{table}" ORDER BY id'
        # Numbers with a fraction as text, so that their decimal places are visible.
        return [value and json.loads(value, parse_float=str) for (value,) in self.rows(sql)]

    def schema(self) -> list[Any]:
        """Return the columns, indexes and constraints of all tables."""
        return [self.rows(SCHEMA), self.rows(INDEXES), self.rows(CONSTRAINTS)]

    def run(self, migration: dict[str, Any]) -> list[str]:
        """Run the migration, and return the statements that undo it."""
        namespace: dict[str, Any] = {}
        exec(source_of(migration).replace("from alembic import op\n", ""), namespace)
        self.execute(*namespace["UPGRADE"])
        back: list[str] = namespace["DOWNGRADE"]
        return back

    def add_items(self) -> None:
        """Add two items."""
        self.execute(*(f"INSERT INTO items VALUES ('{ID(n)}', 'item {n}', now(), now())" for n in (1, 2)))


@pytest.fixture
def migrated(postgres_server: PostgresServer, worker_id: str) -> Iterator[Migrated]:
    """Yield an empty database."""
    migrated = Migrated(postgres_server.database(f"migrations_{worker_id}_test"))
    yield migrated
    migrated.close()


def options_of(kind: str) -> Iterator[str]:
    name = kind.partition(":")[0].partition("=")[0]
    yield ""
    for option in OPTIONS.get(name, ["filter", "unique"]):
        yield f":{option}"


OPTIONAL = [
    f"{kind}{option}"
    for kind in KINDS
    for option in options_of(kind)
    if "enum" not in kind or "unique" not in option
]


@pytest.mark.parametrize("kind", OPTIONAL)
def test_an_optional_field_is_null_in_existing_rows_and_can_be_removed(migrated: Migrated, kind: str) -> None:
    added = {"add": "item", "field": f"extra_value:{kind}:optional"}
    create, add = migrations_of([{"create": ITEMS}], [added])
    migrated.run(create)
    migrated.add_items()
    before = migrated.schema()
    back = migrated.run(add)
    assert migrated.values("items", "extra_value") == [None, None]
    assert len(migrated.schema()[1]) == len(before[1]) + ("filter" in kind or "unique" in kind)
    migrated.execute(*back)
    assert migrated.schema() == before
    assert migrated.values("items", "name") == ["item 1", "item 2"]


@pytest.mark.parametrize("kind", DEFAULTS)
@pytest.mark.parametrize("option", ["", ":optional"])
def test_a_field_with_a_default_has_it_in_existing_rows_and_those_of_older_workers(
    migrated: Migrated, kind: str, option: str
) -> None:
    added = {"add": "item", "field": f"extra_value:{kind}{option}"}
    create, add = migrations_of([{"create": ITEMS}], [added])
    migrated.run(create)
    migrated.add_items()
    before = migrated.schema()
    back = migrated.run(add)
    migrated.execute(
        f"INSERT INTO items (id, name, created_at, updated_at) VALUES ('{ID(3)}', 'c', now(), now())"
    )
    assert migrated.values("items", "extra_value") == [DEFAULTS[kind]] * 3
    migrated.execute(*back)
    assert migrated.schema() == before


@pytest.mark.parametrize(
    "kind", [*KINDS, *(f"{kind}:unique" for kind in KINDS if f"{kind}:unique" in OPTIONAL)]
)
def test_a_required_field_that_was_dropped_comes_back_with_values_within_its_bounds(
    migrated: Migrated, kind: str
) -> None:
    field = f"lost_value:{kind}"
    things = {"name": "thing", "fields": ["name:str", field]}
    create, drop = migrations_of([{"create": things}], [{"drop": "thing", "field": field}])
    migrated.run(create)
    before = migrated.schema()
    back = migrated.run(drop)
    migrated.execute(*(f"INSERT INTO things VALUES ('{ID(n)}', 'thing {n}', now(), now())" for n in (1, 2)))
    migrated.execute(*back)
    first, second = KINDS[kind.removesuffix(":unique")]
    found = migrated.values("things", "lost_value")
    assert found[1] == (second if ":unique" in kind or kind == "uuid" else first)
    assert (found[0] != found[1]) == (":unique" in kind or kind == "uuid")
    assert migrated.schema() == before


@pytest.mark.parametrize(
    ("on_delete", "left"),
    [("restrict", None), ("cascade", []), ("null", [None])],
)
def test_a_reference_follows_its_on_delete(
    migrated: Migrated, on_delete: str, left: list[Any] | None
) -> None:
    things = {"name": "thing", "fields": ["name:str"]}
    added = {"add": "thing", "field": f"item:ref=items:optional:on_delete={on_delete}"}
    create, add = migrations_of([{"create": ITEMS}, {"create": things}], [added])
    migrated.run(create)
    before = migrated.schema()
    back = migrated.run(add)
    migrated.add_items()
    columns = "id, name, item_id, created_at, updated_at"
    migrated.execute(f"INSERT INTO things ({columns}) VALUES ('{ID(1)}', 'a', '{ID(1)}', now(), now())")
    with pytest.raises(asyncpg.ForeignKeyViolationError, match="things_item_id_fkey"):
        migrated.execute(f"INSERT INTO things ({columns}) VALUES ('{ID(2)}', 'a', '{ID(9)}', now(), now())")
    if left is None:
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="things_item_id_fkey"):
            migrated.execute(f"DELETE FROM items WHERE id = '{ID(1)}'")
    else:
        migrated.execute(f"DELETE FROM items WHERE id = '{ID(1)}'")
        assert migrated.values("things", "item_id") == left
    migrated.execute(*back)
    assert migrated.schema() == before


def test_a_required_reference_that_was_dropped_comes_back_without_values(migrated: Migrated) -> None:
    field = "item:ref=items:on_delete=cascade"
    things = {"name": "thing", "fields": ["name:str", field]}
    create, drop = migrations_of([{"create": ITEMS}, {"create": things}], [{"drop": "thing", "field": field}])
    migrated.run(create)
    before = migrated.schema()
    back = migrated.run(drop)
    migrated.execute(f"INSERT INTO things VALUES ('{ID(1)}', 'thing', now(), now())")
    migrated.execute(*back)
    assert migrated.values("things", "item_id") == [None]
    assert migrated.schema()[1:] == before[1:]


def test_tables_that_refer_to_each_other_are_created_and_removed(migrated: Migrated) -> None:
    hens = {"name": "hen", "fields": ["name:str"]}
    eggs = {"name": "egg", "fields": ["hen:ref=hens", "twin:ref=eggs:optional:on_delete=cascade"]}
    egg = "egg:ref=eggs:optional"
    create, remove = migrations_of(
        [{"create": hens}, {"create": eggs}, {"add": "hen", "field": egg}],
        [{"drop": "hen", "field": egg}, {"remove": eggs}, {"remove": hens}],
    )
    back_to_nothing = migrated.run(create)
    before = migrated.schema()
    assert [name for name, _ in before[2] if name.endswith("fkey")] == [
        "eggs_hen_id_fkey",
        "eggs_twin_id_fkey",
        "hens_egg_id_fkey",
    ]
    back = migrated.run(remove)
    assert migrated.schema() == [[], [], []]
    migrated.execute(*back)
    assert migrated.schema() == before
    migrated.execute(*back_to_nothing)
    assert migrated.schema() == [[], [], []]


def test_rows_that_are_deleted_together_need_no_order(migrated: Migrated) -> None:
    # The pages of a book refer to its cover, which is deleted with the book, too.
    resources = [
        {"name": "book", "fields": ["name:str"]},
        {"name": "cover", "fields": ["book:ref=books:on_delete=cascade"]},
        {"name": "page", "fields": ["book:ref=books:on_delete=cascade", "cover:ref=covers"]},
    ]
    (create,) = migrations_of([{"create": each} for each in resources])
    migrated.run(create)
    migrated.execute(
        f"INSERT INTO books VALUES ('{ID(1)}', 'a', now(), now())",
        f"INSERT INTO covers VALUES ('{ID(1)}', '{ID(1)}', now(), now())",
        f"INSERT INTO pages VALUES ('{ID(1)}', '{ID(1)}', '{ID(1)}', now(), now())",
        "DELETE FROM books",
    )
    assert migrated.rows("SELECT id FROM pages") == []


def test_a_resource_that_was_removed_comes_back_empty(migrated: Migrated) -> None:
    fields = [f"field_{number}:{kind}" for number, kind in enumerate([*KINDS, *DEFAULTS])]
    things = {"name": "thing", "fields": [*fields, "item:ref=items:filter"]}
    create, remove = migrations_of([{"create": ITEMS}, {"create": things}], [{"remove": things}])
    migrated.run(create)
    before = migrated.schema()
    back = migrated.run(remove)
    assert {table for table, *_ in migrated.schema()[0]} == {"items"}
    migrated.execute(*back)
    assert migrated.schema() == before


def test_steps_of_one_migration_are_undone_in_reverse(migrated: Migrated) -> None:
    things = {"name": "thing", "fields": ["name:str"]}
    create, several = migrations_of(
        [{"create": ITEMS}],
        [
            {"create": things},
            {"add": "thing", "field": "item:ref=items:optional"},
            {"add": "item", "field": "note:str:optional:filter"},
            {"drop": "item", "field": "name:str:unique"},
        ],
    )
    migrated.run(create)
    migrated.add_items()
    before = migrated.schema()
    migrated.execute(*migrated.run(several))
    assert migrated.schema() == before
    assert migrated.values("items", "name") == ["1", "2"]


def test_the_longest_constraint_names_are_not_truncated(migrated: Migrated) -> None:
    plural, field = f"{'o' * 19}_list", "f" * 30
    texts = [f"{field}:ref={plural}:optional", f"{field[1:]}:ref={plural}:optional:unique"]
    (create,) = migrations_of([{"create": {"name": "o" * 24, "plural": plural, "fields": texts}}])
    back = migrated.run(create)
    _, indexes, constraints = migrated.schema()
    names = {name for name, _ in [*indexes, *constraints]}
    assert {f"{plural}_{field}_id_fkey", f"{plural}_{field}_id_idx", f"{plural}_{field[1:]}_id_key"} <= names
    migrated.execute(*back)


def test_migrations_are_formatted_and_without_lint() -> None:
    plural = f"{'o' * 19}_list"
    kinds = [*OPTIONAL, *DEFAULTS, f"ref={plural}:optional:unique"]
    settings = [
        "--config",
        str(TEMPLATE / "pyproject.toml"),
        "--stdin-filename",
        "migrations/postgres/versions/0002.py",
    ]
    for start in range(0, len(kinds), 25):
        fields = [f"{'f' * 26}{number:02}:{kind}" for number, kind in enumerate(kinds[start : start + 25])]
        noun = {"name": "o" * 24, "plural": plural, "fields": [*fields, "note:str"]}
        create, drop = migrations_of(
            [{"create": noun}], [{"drop": noun["name"], "field": each} for each in fields]
        )
        for migration in (create, drop):
            for check in (["format", "--check"], ["check"]):
                command = [sys.executable, "-m", "ruff", *check, *settings, "-"]
                source = source_of(migration)
                done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout + done.stderr

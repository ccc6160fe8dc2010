"""SQLite alone: one writer, files, migrations, and the errors that are outages."""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path
from textwrap import indent
from time import monotonic
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from pydantic import BaseModel, ValidationError
from uuid_utils.compat import uuid7

from app.forge.database import Database, open_database, outages, sqlite_slow_queries
from app.forge.database.sqlite import DatabaseSettings
from app.forge.database.sqlite_store import SqliteStore
from app.forge.database.sqlite_url import database_path
from app.forge.errors import MissingReference, Referenced, Taken, Unavailable
from app.forge.observability.logs import JsonFormatter
from app.forge.serializer import Serializer
from app.forge.store import Row
from app.forge.table import Column, Reference, Table
from app.main import create_app
from app.resources import RESOURCES
from app.settings import Settings
from tests import NoDatabase
from tests.migrate import PROJECT, migrate

AXES: tuple[str, ...] = ("serializer",)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TIMEOUT_SECONDS = 0.4

# A table with SQL keywords as names.
GROUP = Table(
    "group",
    "group",
    (
        Column("order", "str", is_unique=True),
        Column("values", "str", is_list=True, is_filter=True),
        Column("select", "decimal", places=3, is_optional=True),
        Column("check", "decimal", places=0, is_optional=True),
        Column("parent_id", "uuid", is_optional=True, reference=Reference("group", "cascade")),
    ),
)
# A table with more columns than the maximum number of arguments of an SQLite function.
WIDE = Table("wide", "wide row", tuple(Column(f"column_{number:03}", "int") for number in range(200)))
# Two filters, each with an index.
PAIRS = Table("pairs", "pair", tuple(Column(name, "int", is_filter=True) for name in ("first", "second")))
SCHEMA = f"""
    CREATE TABLE alembic_version (version_num TEXT);
    INSERT INTO alembic_version VALUES ('1');
    CREATE TABLE "group" (
        id TEXT PRIMARY KEY, "order" TEXT NOT NULL CHECK ("order" <> 'broken'), "values" TEXT NOT NULL,
        "select" INTEGER, "check" INTEGER, parent_id TEXT REFERENCES "group" (id) ON DELETE CASCADE,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX group_order_key ON "group" ("order");
    CREATE TABLE group_values (value TEXT, row_id TEXT, PRIMARY KEY (value, row_id)) STRICT, WITHOUT ROWID;
    CREATE TRIGGER group_values_inserted AFTER INSERT ON "group" BEGIN
        INSERT OR IGNORE INTO group_values SELECT value, new.id FROM json_each(new."values");
    END;
    CREATE TRIGGER group_values_updated AFTER UPDATE OF "values" ON "group" BEGIN
        DELETE FROM group_values WHERE row_id = old.id;
        INSERT OR IGNORE INTO group_values SELECT value, new.id FROM json_each(new."values");
    END;
    CREATE TRIGGER group_values_deleted AFTER DELETE ON "group" BEGIN
        DELETE FROM group_values WHERE row_id = old.id;
    END;
    CREATE TABLE pairs (
        id TEXT PRIMARY KEY, first INTEGER, second INTEGER, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX pairs_first_idx ON pairs (first, id);
    CREATE INDEX pairs_second_idx ON pairs (second, id);
    CREATE TABLE wide (
        id TEXT PRIMARY KEY, {" INTEGER, ".join(column.name for column in WIDE.columns)} INTEGER,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
"""
needs_items = pytest.mark.skipif(
    all(resource.table.name != "items" for resource in RESOURCES), reason="The service has no items."
)


class Anything(BaseModel, extra="allow"):
    """A model that accepts any fields."""


def group(order: str, **values: Any) -> Row:
    row = {"id": uuid7(), "order": order, "values": [], "select": None, "check": None, "parent_id": None}
    return {**row, "created_at": NOW, "updated_at": NOW, **values}


def groups_in(database: Database) -> SqliteStore:
    return database.store(GROUP, Serializer(Anything, Anything))


@pytest.fixture
def in_a_hurry(tmp_path: Path) -> DatabaseSettings:
    """Return the settings of a database with the tables above and little time."""
    url = f"sqlite:///{quote(str(tmp_path))}/groups.db"
    with closing(sqlite3.connect(database_path(url))) as connection:
        connection.executescript(f"PRAGMA journal_mode = WAL; {SCHEMA}")
    return DatabaseSettings(_env_file=None, database_url=url, database_timeout_seconds=TIMEOUT_SECONDS)


@pytest.fixture
async def impatient(in_a_hurry: DatabaseSettings) -> AsyncIterator[Database]:
    async with open_database(in_a_hurry, [GROUP, WIDE, PAIRS]) as database:
        yield database


@pytest.fixture
def groups(impatient: Database) -> SqliteStore:
    return groups_in(impatient)


@pytest.fixture
def other_writer(in_a_hurry: DatabaseSettings) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(in_a_hurry.database_path, isolation_level=None)) as connection:
        yield connection


async def count_of(store: SqliteStore) -> int:
    return int((await store.summary())["count"])


async def test_no_write_waits_longer_than_the_timeout_or_happens_after_it(
    groups: SqliteStore, other_writer: sqlite3.Connection
) -> None:
    other_writer.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(groups.insert(group("first")))
    # The others arrive when the first, alone in its group, is already waiting for the lock.
    await asyncio.sleep(TIMEOUT_SECONDS / 8)
    began_at = monotonic()
    others = (groups.insert(group(str(number))) for number in range(4))
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    seconds = monotonic() - began_at
    other_writer.execute("ROLLBACK")
    await groups.insert(group("later"))
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    assert seconds < 1.5 * TIMEOUT_SECONDS
    assert await count_of(groups) == 1


@pytest.fixture
async def watched(
    in_a_hurry: DatabaseSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SqliteStore]:
    monkeypatch.setattr(sqlite_slow_queries, "perf_counter", count(step=0.1).__next__)
    async with open_database(in_a_hurry.model_copy(update={"slow_query_ms": 1}), [GROUP]) as database:
        yield groups_in(database)


async def test_slow_statements_are_logged_with_their_plan_and_without_values(
    watched: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    row = group("a secret name")
    await watched.insert(row)
    await watched.insert_many([group("another secret")])
    await watched.page(1, None, {"values": "a secret value"}, ())
    await watched.update(row["id"], {"check": Decimal(2)}, NOW)
    plans = {record.statement.split()[0]: record.plan for record in caplog.records}  # type: ignore[attr-defined]
    assert "SEARCH group USING PRIMARY KEY (id=?)" in plans["SELECT"]
    assert "SEARCH group USING PRIMARY KEY (id=?)" in plans["UPDATE"]
    assert {"INSERT", "COMMIT"} <= plans.keys()
    assert "secret" not in str([vars(record) for record in caplog.records])


async def test_statements_are_not_timed_by_default(impatient: Database) -> None:
    await impatient.ping()
    assert type(impatient.connections._on_loop) is sqlite3.Connection


@pytest.mark.parametrize(
    "missing", [Table("missing", "missing", ()), Table("group", "group", (Column("missing", "str"),))]
)
async def test_a_table_or_column_of_a_pending_migration_is_an_outage(
    in_a_hurry: DatabaseSettings, missing: Table
) -> None:
    async with open_database(in_a_hurry, [WIDE, missing]) as database:
        with pytest.raises(Unavailable, match="migrations have not run"):
            await database.ping()
        with pytest.raises(Unavailable, match="migrations have not run"):
            await database.store(missing, Serializer(Anything, Anything)).page(1, None, {}, ())


async def test_a_ping_without_tables_still_queries_the_database(
    in_a_hurry: DatabaseSettings, tmp_path: Path
) -> None:
    async with open_database(in_a_hurry, []) as database:
        await database.ping()
    (tmp_path / "no database").write_text(
        "This is not an SQLite file, and a ping that reads nothing would not notice."
    )
    url = f"sqlite:///{quote(str(tmp_path))}/no database"
    async with open_database(in_a_hurry.model_copy(update={"database_url": url}), []) as database:
        with pytest.raises(sqlite3.DatabaseError, match="not a database"):
            await database.ping()


async def test_sql_keywords_may_be_names(groups: SqliteStore) -> None:
    top = group("the top", values=["a"], select=Decimal("-1.500"))
    row = group("a", values=["a", "b"], parent_id=top["id"])
    await groups.insert(top)
    await groups.insert_many([row])
    whole = {
        **json.loads((await groups.get(row["id"])).body),
        "parent": json.loads((await groups.get(top["id"])).body),
    }
    assert json.loads((await groups.get_expanded(row["id"], ["parent"])).body) == whole
    assert json.loads(await groups.page(9, None, {"values": "b"}, ["parent"])) == {
        "items": [whole],
        "next": None,
    }
    await groups.update(row["id"], {"order": "b", "values": []}, NOW)
    with pytest.raises(Taken):
        await groups.insert(group("b"))
    with pytest.raises(MissingReference):
        await groups.insert(group("c", parent_id=uuid7()))
    assert [each["value"] for each in (await groups.summary())["values"]] == ["a"]
    await groups.delete(top["id"])
    assert await count_of(groups) == 0


async def test_rows_that_are_deleted_with_another_leave_no_list_elements(groups: SqliteStore) -> None:
    top = group("top", values=["a"])
    await groups.insert(top)
    middle = group("middle", values=["a", "b"], parent_id=top["id"])
    await groups.insert(middle)
    await groups.insert(group("leaf", values=["c"], parent_id=middle["id"]))
    await groups.delete(top["id"])
    assert (await groups.summary())["values"] == []


@pytest.mark.parametrize(
    "select", ["-0.001", "-1.000", "-999999999999999.999", "0.000", "0.100", "999999999999999.999"]
)
@pytest.mark.parametrize("check", ["-7", "0", "999999999999999999"])
async def test_decimals_of_any_sign_and_size_are_exact(groups: SqliteStore, select: str, check: str) -> None:
    row = group("a", select=Decimal(select), check=Decimal(check))
    document = await groups.insert(row)
    assert document == await groups.get(row["id"])
    found = json.loads(document.body)
    assert (found["select"], found["check"]) == (select, check)


async def test_a_decimal_that_is_null_is_null_once_it_was_created_or_changed(groups: SqliteStore) -> None:
    row = group("a")
    created = await groups.insert(row)
    assert created == await groups.get(row["id"])
    assert json.loads(created.body)["select"] is None
    await groups.update(row["id"], {"select": Decimal("1.500")}, NOW)
    changed = await groups.update(row["id"], {"select": None}, NOW)
    assert changed == await groups.get(row["id"])
    assert json.loads(changed.body)["select"] is None


async def test_sums_of_decimals_do_not_overflow(groups: SqliteStore) -> None:
    largest, lowest = Decimal(999999999999999999), Decimal(-999999999999999999)
    await groups.insert_many(
        [group(str(number), check=largest, select=Decimal(-number)) for number in range(30)]
    )
    figures = await groups.summary()
    assert figures["check"] == {"min": str(largest), "max": str(largest), "mean": str(largest)}
    assert figures["select"] == {"min": "-29.000", "max": "0.000", "mean": "-14.500"}
    await groups.insert_many([group(f"-{number}", check=lowest) for number in range(30)])
    assert (await groups.summary())["check"] == {"min": str(lowest), "max": str(largest), "mean": "0"}


async def test_a_table_may_have_more_columns_than_a_function_takes_arguments(impatient: Database) -> None:
    store = impatient.store(WIDE, Serializer(Anything, Anything))
    values = {column.name: number for number, column in enumerate(WIDE.columns)}
    row: Row = {"id": uuid7(), **values, "created_at": NOW, "updated_at": NOW}
    document = await store.insert(row)
    assert document == await store.get(row["id"])
    assert list(json.loads(document.body).items())[1:-2] == list(values.items())


async def test_fields_are_returned_in_the_order_of_the_columns(impatient: Database) -> None:
    store = impatient.store(WIDE, Serializer(Anything, Anything))
    values = {column.name: 1 for column in WIDE.columns}
    row: Row = {
        "updated_at": NOW,
        "created_at": NOW,
        **dict(reversed(values.items())),
        "id": uuid7(),
        "more": 1,
    }
    assert await store.insert(row) == await store.get(row["id"])


@pytest.fixture
async def pairs(in_a_hurry: DatabaseSettings, other_writer: sqlite3.Connection) -> AsyncIterator[SqliteStore]:
    """Yield the store of 200,000 rows, none of which has the same value twice."""
    other_writer.execute("PRAGMA synchronous = OFF")
    other_writer.execute("""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
        INSERT INTO pairs SELECT printf('%08d-0000-7000-8000-%012d', i, i), i % 2, 1 - i % 2, '', '' FROM n
    """)
    patient = in_a_hurry.model_copy(update={"database_timeout_seconds": 60.0})
    async with open_database(patient, [PAIRS]) as database:
        yield database.store(PAIRS, Serializer(Anything, Anything))


async def turns_of_the_loop_during(work: Awaitable[Any]) -> int:
    """Return how often the event loop ran other tasks during this."""
    turns, task = 0, asyncio.ensure_future(work)
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    await task
    return turns


async def test_filters_that_no_row_matches_together_do_not_block_the_event_loop(pairs: SqliteStore) -> None:
    assert await turns_of_the_loop_during(pairs.page(20, None, {"first": 1, "second": 1}, ())) > 10
    assert json.loads(await pairs.page(20, None, {"first": 1, "second": 1}, ()))["items"] == []
    # With one filter, a page is read on the event loop.
    assert await turns_of_the_loop_during(pairs.page(20, None, {"first": 1}, ())) == 1


async def test_filters_that_take_too_long_together_time_out(
    pairs: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs._connections, "timeout_seconds", 0.001)
    with pytest.raises(Unavailable):
        await pairs.page(20, None, {"first": 1, "second": 1}, ())
    assert len(json.loads(await pairs.page(20, None, {"first": 1}, ()))["items"]) == 20


async def test_a_delete_with_more_dependents_than_there_is_time_for_is_undone(
    groups: SqliteStore, other_writer: sqlite3.Connection
) -> None:
    top = group("top")
    await groups.insert(top)
    other_writer.execute(
        f"""
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000)
        INSERT INTO "group" SELECT hex(i), hex(i), '[]', NULL, NULL, '{top["id"]}', '', '' FROM n
        """
    )
    # Without an index on parent_id, each lookup scans all rows.
    with pytest.raises(Unavailable):
        await groups.delete(top["id"])
    await groups.insert(group("later"))
    assert await count_of(groups) == 30_002


async def test_a_table_of_another_program_is_not_reported_as_a_resource(
    groups: SqliteStore, other_writer: sqlite3.Connection
) -> None:
    row = group("a")
    await groups.insert(row)
    other_writer.execute('CREATE TABLE others (group_id TEXT REFERENCES "group" (id))')
    other_writer.execute("INSERT INTO others VALUES (?)", (str(row["id"]),))
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        await groups.delete(row["id"])


async def test_a_row_deleted_by_cascade_does_not_prevent_the_delete(tmp_path: Path) -> None:
    """A row refers to another by a reference that restricts, and both belong to the one that is deleted."""
    tops = Table("tops", "top", ())
    leaves = Table(
        "leaves",
        "leaf",
        (
            Column("top_id", "uuid", reference=Reference("tops", "cascade")),
            Column("leaf_id", "uuid", is_optional=True, reference=Reference("leaves")),
        ),
    )
    path = tmp_path / "tops.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("""
            CREATE TABLE tops (id TEXT PRIMARY KEY, created_at TEXT, updated_at TEXT) STRICT, WITHOUT ROWID;
            CREATE TABLE leaves (
                id TEXT PRIMARY KEY, top_id TEXT REFERENCES tops (id) ON DELETE CASCADE,
                leaf_id TEXT REFERENCES leaves (id), created_at TEXT, updated_at TEXT
            ) STRICT, WITHOUT ROWID;
        """)
    settings = DatabaseSettings(_env_file=None, database_url=f"sqlite:///{quote(str(path))}")
    async with open_database(settings, [tops, leaves]) as database:
        stores = [database.store(table, Serializer(Anything, Anything)) for table in (tops, leaves)]
        times = {"created_at": NOW, "updated_at": NOW}
        first, second, leaf = (uuid7() for _ in range(3))
        for top in (first, second):
            await stores[0].insert({"id": top, **times})
        await stores[1].insert({"id": leaf, "top_id": first, "leaf_id": None, **times})
        other = uuid7()
        await stores[1].insert({"id": other, "top_id": second, "leaf_id": leaf, **times})
        with pytest.raises(Referenced, match=f"top {first} cannot be removed: at least one leaf"):
            await stores[0].delete(first)
        await stores[1].update(other, {"top_id": first}, NOW)
        await stores[0].delete(first)
        assert await count_of(stores[1]) == 0


HOW_TO_NAME_A_FILE = {
    "sqlite:///var/items.db": "var/items.db",
    "sqlite:////srv/items.db": "/srv/items.db",
    "sqlite:///a b%20c.db": "a b c.db",
    "sqlite:///100%25.db": "100%.db",
    "sqlite:///what%3F#%.db": "what?#%.db",
}


@pytest.mark.parametrize(("url", "path"), HOW_TO_NAME_A_FILE.items())
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert DatabaseSettings(_env_file=None, database_url=url).database_path == Path(path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not the URL of a SQLite file"),
        ("items.db", "not the URL of a SQLite file"),
        ("https://localhost/items.db", "not the URL of a SQLite file"),
        ("sqlite+other:///items.db", "'sqlite\\+other' names another driver"),
        ("sqlite://items.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:items?mode=memory&cache=shared", "'mode', 'cache'"),
        ("sqlite:///file:items.db", "must name a file"),
        ("sqlite:///items.db?timeout=20", "DATABASE_TIMEOUT_SECONDS"),
        ("sqlite:///items.db?check_same_thread=false", "'check_same_thread'"),
        ("sqlite:////tmp", "is a directory"),
        ("sqlite:///var/", "is a directory"),
        ("sqlite:///a%00b", "NUL"),
    ],
)
def test_a_url_that_names_no_file_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DatabaseSettings(_env_file=None, database_url=url)


@pytest.mark.parametrize("name", ["with space.db", "with%20escape.db", "100%25.db", "a%3Fb%23c.db"])
def test_migrations_and_service_open_the_same_file(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{quote(str(tmp_path))}/new/{name}"
    migrate(url)
    settings = DatabaseSettings(_env_file=None, database_url=url)
    assert settings.database_path.is_file()
    asyncio.run(is_answered(settings))


async def is_answered(settings: DatabaseSettings) -> None:
    async with open_database(settings, [resource.table for resource in RESOURCES]) as database:
        await database.ping()


def alembic(url: str, *arguments: str, folder: Path = PROJECT, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "DATABASE_URL": url, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def with_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that adds a migration to those of the project, and returns a database to run them on."""
    for name in ("alembic.ini", "migrations"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    monkeypatch.setattr("tests.migrate.PROJECT", tmp_path)
    versions = tmp_path / "migrations/sqlite/versions"
    newest = "".join(path.read_text() for path in sorted(versions.glob("*.py"))[-1:])
    down = re.findall(r'^revision = "(.+)"', newest, re.MULTILINE)
    versions.mkdir(exist_ok=True)

    def add(body: str) -> str:
        head = f'from alembic import op\nrevision = "broken"\ndown_revision = {(down or [None])[0]!r}\n'
        (versions / "zzzz_broken.py").write_text(f"{head}def upgrade() -> None:\n{indent(body, '    ')}")
        return f"sqlite:///{quote(str(tmp_path))}/items.db"

    return add


def test_migrations_as_sql_need_no_database(with_migration: Callable[[str], str], tmp_path: Path) -> None:
    with_migration('op.execute("CREATE TABLE last (id)")\n')
    url = f"sqlite:///{quote(str(tmp_path))}/new/items.db"
    writing = alembic(url, "upgrade", "head", "--sql", folder=tmp_path)
    sql, _ = writing.communicate(timeout=300)
    assert writing.returncode == 0, sql
    assert not (tmp_path / "new").exists()
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(sql)
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM last").fetchone() == (0,)


def tables(url: str) -> set[str]:
    with closing(sqlite3.connect(database_path(url))) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_processes_that_migrate_concurrently_all_succeed(
    with_migration: Callable[[str], str], tmp_path: Path
) -> None:
    url = with_migration('import time\nop.execute("CREATE TABLE slow (id)")\ntime.sleep(0.5)\n')
    # Less than a migration takes: SQLite's own wait for a lock is not enough.
    impatient = {"DATABASE_TIMEOUT_SECONDS": "0.1"}
    migrating = [alembic(url, "upgrade", "head", folder=tmp_path, **impatient) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in migrating]
    assert [process.returncode for process in migrating] == [0] * 2, outputs
    assert "slow" in tables(url)


def test_a_failed_migration_is_undone_and_earlier_ones_are_kept(
    with_migration: Callable[[str], str],
) -> None:
    url = with_migration('op.execute("CREATE TABLE half (id)")\nop.execute("CREATE TABLE")\n')
    with pytest.raises(NoDatabase, match=r"incomplete input|syntax error"):
        migrate(url)
    assert {resource.table.name for resource in RESOURCES} <= tables(url)
    assert "half" not in tables(url)


def test_a_migration_that_breaks_a_foreign_key_is_undone(with_migration: Callable[[str], str]) -> None:
    notes = "CREATE TABLE notes (id INTEGER PRIMARY KEY, note_id INTEGER REFERENCES notes (id))"
    url = with_migration(f'op.execute({notes!r})\nop.execute("INSERT INTO notes VALUES (1, 2)")\n')
    with pytest.raises(NoDatabase, match=r"1 rows refer to rows that do not exist.* notes .* to notes"):
        migrate(url)
    assert "notes" not in tables(url)


@pytest.fixture
def unmigrated(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"database_url": f"sqlite:///{quote(str(tmp_path))}/items.db"})


@needs_items
def test_a_service_returns_503_before_its_migrations_and_then_recovers(
    unmigrated: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "app.forge.database.outages")
    monkeypatch.setattr(outages, "QUIET_SECONDS", 0.0)
    with TestClient(create_app(unmigrated)) as client:
        refused = client.get("/api/v1/items")
        assert (refused.status_code, client.get("/health/ready").status_code) == (503, 503)
        migrate(unmigrated.database_url)
        assert client.get("/api/v1/items").status_code == 200
    assert "migrations have not run" in refused.json()["detail"]
    (line,) = [record.getMessage() for record in caplog.records if "Outage" in record.getMessage()]
    assert "migrations have not run" in line
    assert "no such table: " in line


@needs_items
def test_a_mistake_in_sql_is_500_with_its_stack_and_request_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connections = client.app_state["database"].connections
    read = connections.read
    monkeypatch.setattr(connections, "read", lambda _sql, _parameters: read("SELECT colour FROM items", ()))
    monkeypatch.setattr(caplog.handler, "formatter", JsonFormatter())
    answer = client.get("/api/v1/items", headers={"X-Request-ID": "mistaken"})
    assert answer.status_code == 500
    (line,) = [json.loads(line) for line in caplog.text.splitlines() if "Unexpected error" in line]
    assert line["request_id"] == "mistaken"
    assert "no such column: colour" in line["exception"]
    assert not outages._outages


@pytest.mark.parametrize(
    "sql", ['SELECT colour FROM "group"', "SELECT * FROM grp", "SELEC", "SELECT json('{')"]
)
async def test_mistakes_in_sql_are_not_outages(impatient: Database, sql: str) -> None:
    with pytest.raises(sqlite3.OperationalError):
        impatient.connections.read(sql, ())
    with pytest.raises(sqlite3.OperationalError):
        await impatient.connections.scan(sql)
    with pytest.raises(sqlite3.OperationalError):
        await impatient.connections.write(lambda connection: connection.execute(sql))


async def test_a_statement_that_takes_too_long_is_unavailable_with_its_cause(impatient: Database) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(Unavailable) as refusal:
        await impatient.connections.scan(endless)
    assert outages.cause_of(refusal.value).endswith("OperationalError: interrupted")


async def test_a_full_disk_is_unavailable_and_reads_continue(
    impatient: Database, groups: SqliteStore
) -> None:
    full = "PRAGMA max_page_count = 1"
    await impatient.connections.write(lambda connection: connection.execute(full).fetchall())
    with pytest.raises(Unavailable) as refusal:
        await groups.insert_many([group(f"{number}-{'x' * 190}") for number in range(1_000)])
    assert "database or disk is full" in outages.cause_of(refusal.value)
    assert await count_of(groups) == 0


async def test_other_violated_constraints_are_not_reported_as_taken_values(groups: SqliteStore) -> None:
    for broken in ({"order": "broken"}, {"order": None}):
        row: Any = {**group("a"), **broken}
        with pytest.raises(sqlite3.IntegrityError):
            await groups.insert(row)
        with pytest.raises(sqlite3.IntegrityError):
            await groups.insert_many([row])
    kept = group("a")
    await groups.insert(kept)
    with pytest.raises(sqlite3.IntegrityError):
        await groups.update(kept["id"], {"order": "broken"}, NOW)
    with pytest.raises(sqlite3.IntegrityError, match=r"group\.id"):
        await groups.insert({**kept, "order": "b"})
    with pytest.raises(Taken):
        await groups.insert(group("a"))


async def test_foreign_keys_are_enforced(impatient: Database) -> None:
    sql = "PRAGMA foreign_keys"
    assert await impatient.connections.write(lambda connection: connection.execute(sql).fetchone()) == (1,)


@needs_items
def test_a_file_that_cannot_be_opened_is_an_outage_that_ends(
    unmigrated: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "data"
    in_the_way.write_text("A file where the directory should be, as on a volume that is not mounted.")
    url = f"sqlite:///{quote(str(in_the_way))}/items.db"
    with TestClient(create_app(unmigrated.model_copy(update={"database_url": url}))) as client:
        read = client.get("/api/v1/items")
        written = client.post("/api/v1/items", json={"name": "a", "price_cents": 1})
        in_the_way.unlink()
        migrate(url)
        after = client.post("/api/v1/items", json={"name": "a", "price_cents": 1})
    assert [read.status_code, written.status_code, after.status_code] == [503, 503, 201]
    (line,) = [record.getMessage() for record in caplog.records if "Outage" in record.getMessage()]
    assert "data" in line

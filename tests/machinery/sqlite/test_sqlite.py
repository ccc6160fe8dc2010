"""SQLite alone: one writer, files, migrations, and the errors that are outages."""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from textwrap import indent
from time import monotonic
from typing import Any, LiteralString
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError
from uuid_utils.compat import uuid7

from app.forge.database import outages
from app.forge.errors import NameTaken, Unavailable
from app.items.store import ItemRow
from app.forge.observability.logs import JsonFormatter
from app.main import create_app
from app.settings import Settings
from app.forge.database import sqlite_slow_queries
from app.forge.database.sqlite import SqliteItemStore, StoreSettings, open_item_store
from app.forge.database.sqlite_url import database_path
from tests.errors import NoDatabase
from tests.migrate import PROJECT, migrate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TIMEOUT_SECONDS = 0.4


def item(name: str) -> ItemRow:
    return {
        "id": uuid7(),
        "name": name,
        "description": None,
        "price_cents": 1,
        "tags": [],
        "created_at": NOW,
        "updated_at": NOW,
    }


@pytest.fixture
async def impatient(settings: Settings, _empty_database: None) -> AsyncIterator[SqliteItemStore]:
    chosen = settings.model_copy(update={"database_timeout_seconds": TIMEOUT_SECONDS})
    async with open_item_store(chosen) as store:
        yield store


@pytest.fixture
def other_writer(settings: Settings) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(settings.database_path, isolation_level=None)) as connection:
        yield connection


async def test_no_write_waits_longer_than_the_timeout_and_none_is_done_after_it(
    impatient: SqliteItemStore, other_writer: sqlite3.Connection
) -> None:
    other_writer.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(impatient.insert(item("first")))
    # The others come when the first, alone in its group, waits for the lock already.
    await asyncio.sleep(TIMEOUT_SECONDS / 8)
    began_at = monotonic()
    others = (impatient.insert(item(str(number))) for number in range(4))
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    seconds = monotonic() - began_at
    other_writer.execute("ROLLBACK")
    await impatient.insert(item("later"))
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    assert seconds < 1.5 * TIMEOUT_SECONDS
    assert (await impatient.prices()).items == 1


@pytest.fixture
async def watched(
    settings: Settings, _empty_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SqliteItemStore]:
    monkeypatch.setattr(sqlite_slow_queries, "perf_counter", count(step=0.1).__next__)
    async with open_item_store(settings.model_copy(update={"slow_query_ms": 1})) as store:
        yield store


async def test_slow_statements_are_logged_with_their_plan_and_without_values(
    watched: SqliteItemStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    row = item("a secret name")
    await watched.insert(row)
    await watched.insert_many([item("another secret")])
    await watched.page(1, None, "a secret tag")
    await watched.update(row["id"], {"price_cents": 2}, NOW)
    plans = {record.statement.split()[0]: record.plan for record in caplog.records}  # type: ignore[attr-defined]
    assert "SEARCH items USING PRIMARY KEY (id=?)" in plans["SELECT"]
    assert "SEARCH items USING PRIMARY KEY (id=?)" in plans["UPDATE"]
    assert {"INSERT", "COMMIT"} <= plans.keys()
    assert "secret" not in str([vars(record) for record in caplog.records])


async def test_statements_are_not_timed_unless_asked_for(settings: Settings) -> None:
    async with open_item_store(settings) as store:
        await store.ping()
        assert type(store._on_loop) is sqlite3.Connection


HOW_TO_NAME_A_FILE = {
    "sqlite:///var/app.db": "var/app.db",
    "sqlite:////srv/app.db": "/srv/app.db",
    "sqlite:///a b%20c.db": "a b c.db",
    "sqlite:///100%25.db": "100%.db",
    "sqlite:///what%3F#%.db": "what?#%.db",
}


@pytest.mark.parametrize(("url", "path"), HOW_TO_NAME_A_FILE.items())
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert StoreSettings(_env_file=None, database_url=url).database_path == Path(path)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not the URL of a SQLite file"),
        ("app.db", "not the URL of a SQLite file"),
        ("https://localhost/app.db", "not the URL of a SQLite file"),
        ("sqlite+other:///app.db", "'sqlite\\+other' names another driver"),
        ("sqlite://app.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:items?mode=memory&cache=shared", "'mode', 'cache'"),
        ("sqlite:///file:app.db", "must name a file"),
        ("sqlite:///app.db?timeout=20", "DATABASE_TIMEOUT_SECONDS"),
        ("sqlite:///app.db?check_same_thread=false", "'check_same_thread'"),
        ("sqlite:////tmp", "is a directory"),
        ("sqlite:///var/", "is a directory"),
        ("sqlite:///a%00b", "NUL"),
    ],
)
def test_a_url_that_names_no_file_is_refused_with_the_reason(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        StoreSettings(_env_file=None, database_url=url)


@pytest.mark.parametrize("name", ["with space.db", "with%20escape.db", "100%25.db", "a%3Fb%23c.db"])
def test_migrations_and_service_open_the_same_file(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{quote(str(tmp_path))}/new/{name}"
    migrate(url)
    settings = StoreSettings(_env_file=None, database_url=url)
    assert settings.database_path.is_file()
    asyncio.run(names_after_an_insert(settings))


async def names_after_an_insert(settings: StoreSettings) -> None:
    async with open_item_store(settings) as store:
        await store.insert(item("a"))


def alembic(url: str, *arguments: str, folder: Path = PROJECT, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "DATABASE_URL": url, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_migrations_as_sql_need_no_database(tmp_path: Path) -> None:
    writing = alembic(f"sqlite:///{quote(str(tmp_path))}/new/app.db", "upgrade", "head", "--sql")
    sql, _ = writing.communicate(timeout=300)
    assert writing.returncode == 0, sql
    assert "CREATE TABLE items" in sql
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(sql)
        assert connection.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


@pytest.fixture
def with_migration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that adds a migration to those of the project, and returns a database to run them on."""
    for name in ("alembic.ini", "migrations"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, tmp_path / name)
    monkeypatch.setattr("tests.migrate.PROJECT", tmp_path)
    versions = tmp_path / "migrations/sqlite/versions"
    newest = max(path for path in versions.iterdir() if path.suffix == ".py")
    down = re.search(r'^revision = "(.+)"', newest.read_text(), re.MULTILINE)
    assert down is not None

    def add(body: str) -> str:
        head = f'from alembic import op\nrevision = "broken"\ndown_revision = "{down[1]}"\n'
        (versions / "zzzz_broken.py").write_text(f"{head}def upgrade() -> None:\n{indent(body, '    ')}")
        return f"sqlite:///{quote(str(tmp_path))}/app.db"

    return add


def tables(url: str) -> set[str]:
    with closing(sqlite3.connect(database_path(url))) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_processes_that_migrate_at_once_all_end_well(
    with_migration: Callable[[str], str], tmp_path: Path
) -> None:
    url = with_migration('import time\nop.execute("CREATE TABLE slow (id)")\ntime.sleep(0.5)\n')
    # Less than a migration takes: SQLite's own wait for a lock is not enough.
    impatient = {"DATABASE_TIMEOUT_SECONDS": "0.1"}
    migrating = [alembic(url, "upgrade", "head", folder=tmp_path, **impatient) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in migrating]
    assert [process.returncode for process in migrating] == [0] * 2, outputs
    assert "slow" in tables(url)


def test_a_migration_that_fails_is_undone_and_those_before_it_stay(
    with_migration: Callable[[str], str],
) -> None:
    url = with_migration('op.execute("CREATE TABLE half (id)")\nop.execute("CREATE TABLE")\n')
    with pytest.raises(NoDatabase, match=r"incomplete input|syntax error"):
        migrate(url)
    assert "items" in tables(url)
    assert "half" not in tables(url)


def test_a_migration_that_breaks_a_foreign_key_is_undone(with_migration: Callable[[str], str]) -> None:
    orders = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item_id TEXT REFERENCES items (id))"
    url = with_migration(f"op.execute({orders!r})\nop.execute(\"INSERT INTO orders VALUES (1, 'none')\")\n")
    with pytest.raises(NoDatabase, match=r"1 rows refer to rows that do not exist.* orders .* to items"):
        migrate(url)
    assert "orders" not in tables(url)


@pytest.fixture
def unmigrated(settings: Settings, tmp_path: Path) -> Settings:
    return settings.model_copy(update={"database_url": f"sqlite:///{quote(str(tmp_path))}/app.db"})


def test_before_its_migrations_a_service_responds_503_and_says_so_and_recovers(
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
    assert "no such table: items" in line


def test_a_mistake_in_sql_is_500_with_its_stack_and_request_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("app.forge.database.sqlite.PAGE", "SELECT id, colour FROM items WHERE id < ? LIMIT ?")
    monkeypatch.setattr(caplog.handler, "formatter", JsonFormatter())
    answer = client.get("/api/v1/items", headers={"X-Request-ID": "mistaken"})
    assert answer.status_code == 500
    (line,) = [json.loads(line) for line in caplog.text.splitlines() if "Unexpected error" in line]
    assert line["request_id"] == "mistaken"
    assert "no such column: colour" in line["exception"]
    assert not outages._outages


@pytest.mark.parametrize(
    "sql", ["SELECT colour FROM items", "SELECT * FROM itms", "SELEC", "SELECT json('{')"]
)
async def test_no_mistake_in_sql_is_taken_for_an_outage(
    impatient: SqliteItemStore, sql: LiteralString
) -> None:
    with pytest.raises(sqlite3.OperationalError):
        impatient._read(sql, ())
    with pytest.raises(sqlite3.OperationalError):
        await impatient._scan(sql)
    with pytest.raises(sqlite3.OperationalError):
        await impatient._write(lambda connection: connection.execute(sql))


async def test_what_takes_too_long_is_unavailable_with_its_cause(impatient: SqliteItemStore) -> None:
    endless: LiteralString = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    )
    with pytest.raises(Unavailable) as refusal:
        await impatient._scan(endless)
    assert outages.cause_of(refusal.value).endswith("OperationalError: interrupted")


async def test_a_full_disk_is_unavailable_and_reads_go_on(impatient: SqliteItemStore) -> None:
    await impatient._write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchall())
    with pytest.raises(Unavailable) as refusal:
        await impatient.insert_many([item(f"{number}-{'x' * 190}") for number in range(1_000)])
    assert "database or disk is full" in outages.cause_of(refusal.value)
    assert (await impatient.prices()).items == 0


async def test_a_broken_rule_that_is_no_taken_name_is_not_called_one(impatient: SqliteItemStore) -> None:
    for broken in ({"price_cents": -1}, {"name": None}, {"price_cents": "many"}):
        row: Any = {**item("a"), **broken}
        with pytest.raises(sqlite3.IntegrityError):
            await impatient.insert(row)
        with pytest.raises(sqlite3.IntegrityError):
            await impatient.insert_many([row])
    kept = item("a")
    await impatient.insert(kept)
    with pytest.raises(sqlite3.IntegrityError):
        await impatient.update(kept["id"], {"price_cents": -1}, NOW)
    with pytest.raises(sqlite3.IntegrityError, match=r"items\.id"):
        await impatient.insert({**kept, "name": "b"})
    with pytest.raises(NameTaken):
        await impatient.insert(item("a"))


async def test_foreign_keys_are_enforced(impatient: SqliteItemStore) -> None:
    enforced = await impatient._write(lambda connection: connection.execute("PRAGMA foreign_keys").fetchone())
    assert enforced == (1,)


def test_a_file_that_cannot_be_opened_is_an_outage_that_ends(
    unmigrated: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "data"
    in_the_way.write_text("A file where the directory should be, as on a volume that is not mounted.")
    url = f"sqlite:///{quote(str(in_the_way))}/app.db"
    with TestClient(create_app(unmigrated.model_copy(update={"database_url": url}))) as client:
        read = client.get("/api/v1/items")
        written = client.post("/api/v1/items", json={"name": "a", "price_cents": 1})
        in_the_way.unlink()
        migrate(url)
        after = client.post("/api/v1/items", json={"name": "a", "price_cents": 1})
    assert [read.status_code, written.status_code, after.status_code] == [503, 503, 201]
    (line,) = [record.getMessage() for record in caplog.records if "Outage" in record.getMessage()]
    assert "data" in line

"""What is particular to SQLite: one writer, whose waiting has an end."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from time import monotonic

import pytest
from uuid_utils.compat import uuid7

from app.errors import Unavailable
from app.items.store import ItemRow
from app.settings import Settings
from app.store import sqlite_slow_queries
from app.store.sqlite import SqliteItemStore, open_item_store

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
        assert type(store._on_loop) is sqlite3.Connection

"""Items in SQLite, on the standard library's driver.

What runs on the event loop is bounded: point reads and pages walk an index for at most 101 rows, quicker than
a thread could be asked. Whatever reads more runs in a reader thread with a deadline. All writes of a process
go through one thread that commits those that wait together, so that one flush to disk serves many requests.
"""

import asyncio
import json
import queue
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, LiteralString, TypeVar
from uuid import UUID

from pydantic import AfterValidator, PositiveFloat, PositiveInt

from app.errors import NameTaken, NotFound, Unavailable
from app.items.documents import ItemDocument, item_document, page_document
from app.items.models import ItemChanges
from app.items.store import ItemRow, PriceFigures
from app.serializer import item_json, items_json
from app.slow_queries import SlowQuerySettings
from app.store.sqlite_transactions import Database
from app.store.sqlite_writer import GroupCommitWriter

# SQLite has no UUID, list or time type: ids and times are text, tags a JSON array. Ids are UUIDv7, whose
# order is the order of creation, so the primary key serves the pages too.
COLUMNS: LiteralString = "id, name, description, price_cents, tags, created_at, updated_at"
ITEM_JSON: LiteralString = """json_object(
    'id', id, 'name', name, 'description', description, 'price_cents', price_cents,
    'tags', json(tags), 'created_at', created_at, 'updated_at', updated_at)"""

GET: LiteralString = f"SELECT {ITEM_JSON} FROM items WHERE id = ?"
INSERT: LiteralString = f"INSERT INTO items ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
DELETE: LiteralString = "DELETE FROM items WHERE id = ?"
PAGE: LiteralString = f"SELECT id, {ITEM_JSON} FROM items WHERE id < ? ORDER BY id DESC LIMIT ?"
TAGGED_PAGE: LiteralString = f"""
    SELECT id, {ITEM_JSON} FROM item_tags JOIN items ON items.id = item_tags.item_id
    WHERE item_tags.tag = ? AND item_tags.item_id < ? ORDER BY item_tags.item_id DESC LIMIT ?"""
PRICES: LiteralString = "SELECT count(*), min(price_cents), max(price_cents), avg(price_cents) FROM items"
TOP_TAGS: LiteralString = """
    SELECT tag, count(*) AS items FROM item_tags GROUP BY tag ORDER BY items DESC, tag LIMIT ?"""
ASSIGNMENTS: dict[str, LiteralString] = {
    "name": "name = ?",
    "description": "description = ?",
    "price_cents": "price_cents = ?",
    "tags": "tags = ?",
}

# Sorts after every UUID: where the first page starts.
AFTER_ALL_IDS = "g"
EXPORT_CHUNK_ROWS = 500
READER_THREADS = 4
# The loop must not wait for locks; with WAL only recovery after a crash makes a reader wait at all.
LOOP_BUSY_SECONDS = 0.05
# How many of SQLite's steps (about a millisecond of them) pass between looks at the deadline.
STEPS_BETWEEN_LOOKS = 10_000

Result = TypeVar("Result")


def _of_a_file(url: str) -> str:
    path = url.removeprefix("sqlite:///")
    # Every connection to a database in memory has one of its own, and the store has several.
    if path in (url, "", ":memory:"):
        raise ValueError("must name a file, such as sqlite:///var/items.db")
    return url


class StoreSettings(SlowQuerySettings):
    """Where the items live, and how long the database may take."""

    database_url: Annotated[str, AfterValidator(_of_a_file)] = "sqlite:///var/items.db"
    database_timeout_seconds: PositiveFloat = 5.0
    database_max_waiting_writes: PositiveInt = 1_000

    @property
    def database_path(self) -> Path:
        """The database file; sqlite:///items.db is relative, sqlite:////srv/items.db absolute."""
        return Path(self.database_url.removeprefix("sqlite:///"))


def _connect(settings: StoreSettings, busy_seconds: float, *pragmas: LiteralString) -> sqlite3.Connection:
    # Each connection is used by one thread at a time; which one changes.
    connection = sqlite3.connect(
        settings.database_path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        factory=_connection_class(settings.slow_query_ms),
    )
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _connection_class(slow_query_ms: int | None) -> type[sqlite3.Connection]:
    if slow_query_ms is None:
        return sqlite3.Connection
    # Here, so that nothing of it is loaded where it is not wanted.
    from app.store.sqlite_slow_queries import slow_query_connection

    return slow_query_connection(slow_query_ms / 1_000)


def _reader(settings: StoreSettings, busy_seconds: float) -> sqlite3.Connection:
    return _connect(settings, busy_seconds, "query_only = ON", "cache_size = -16384")


def _writer(settings: StoreSettings, busy_seconds: float) -> sqlite3.Connection:
    # WAL lets readers go on while a write is under way. FULL survives a power cut; group commit pays for it.
    return _connect(settings, busy_seconds, "journal_mode = WAL", "synchronous = FULL")


@asynccontextmanager
async def open_item_store(settings: StoreSettings) -> AsyncIterator["SqliteItemStore"]:
    """Open the store, creating the file's folder; yield it and close it in the end."""
    timeout = settings.database_timeout_seconds
    settings.database_path.parent.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        writing = stack.enter_context(closing(_writer(settings, timeout)))
        writer = GroupCommitWriter(writing, settings.database_max_waiting_writes)
        stack.push_async_callback(writer.close)
        on_loop = stack.enter_context(closing(_reader(settings, LOOP_BUSY_SECONDS)))
        in_threads = [stack.enter_context(closing(_reader(settings, timeout))) for _ in range(READER_THREADS)]
        readers = stack.enter_context(ThreadPoolExecutor(READER_THREADS, "sqlite-reader"))
        store = SqliteItemStore(on_loop, in_threads, readers, writer, timeout)
        stack.push_async_callback(store.database.close)
        yield store


def _time_text(time: datetime) -> str:
    # The form in which both serializers write times.
    return time.isoformat().replace("+00:00", "Z")


def _tags_text(tags: Sequence[str]) -> str:
    return json.dumps(tags, ensure_ascii=False, separators=(",", ":"))


def _values(row: ItemRow) -> tuple[Any, ...]:
    created_at, updated_at = _time_text(row["created_at"]), _time_text(row["updated_at"])
    tags = _tags_text(row["tags"])
    return str(row["id"]), row["name"], row["description"], row["price_cents"], tags, created_at, updated_at


def _no_item(item_id: UUID) -> NotFound:
    return NotFound(f"No item has the id {item_id}.")


class SqliteItemStore:
    """See `app.items.store.ItemStore`."""

    def __init__(
        self,
        on_loop: sqlite3.Connection,
        in_threads: Sequence[sqlite3.Connection],
        readers: ThreadPoolExecutor,
        writer: GroupCommitWriter,
        timeout_seconds: float,
    ) -> None:
        self._on_loop = on_loop
        self._readers = readers
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for connection in in_threads:
            self._idle.put(connection)
        self._writer = writer
        self._timeout_seconds = timeout_seconds
        self.database = Database(writer, readers, self._idle, timeout_seconds)

    async def get(self, item_id: UUID) -> ItemDocument:
        found = self._read(GET, (str(item_id),))
        if not found:
            raise _no_item(item_id)
        return item_document(item_json(found[0][0].encode()))

    async def insert(self, row: ItemRow) -> None:
        try:
            await self._write(lambda connection: connection.execute(INSERT, _values(row)))
        except sqlite3.IntegrityError:
            raise NameTaken(f"The name {row['name']!r} is taken.") from None

    async def insert_many(self, rows: Sequence[ItemRow]) -> None:
        values = [_values(row) for row in rows]
        try:
            await self._write(lambda connection: connection.executemany(INSERT, values))
        except sqlite3.IntegrityError:
            raise NameTaken("A name in the batch is taken. Nothing was created.") from None

    async def update(self, item_id: UUID, changes: ItemChanges, updated_at: datetime) -> ItemDocument:
        assignments = ", ".join(ASSIGNMENTS[field] for field in changes)
        values = [_tags_text(value) if isinstance(value, list) else value for value in changes.values()]
        sql = f"UPDATE items SET {assignments}, updated_at = ? WHERE id = ? RETURNING {ITEM_JSON}"

        def write(connection: sqlite3.Connection) -> list[Any]:
            return connection.execute(sql, (*values, _time_text(updated_at), str(item_id))).fetchall()

        try:
            changed = await self._write(write)
        except sqlite3.IntegrityError:
            raise NameTaken(f"The name {changes.get('name')!r} is taken.") from None
        if not changed:
            raise _no_item(item_id)
        return item_document(item_json(changed[0][0].encode()))

    async def delete(self, item_id: UUID) -> None:
        if not await self._write(lambda connection: connection.execute(DELETE, (str(item_id),)).rowcount):
            raise _no_item(item_id)

    async def page(self, limit: int, after: UUID | None, tag: str | None) -> bytes:
        before = AFTER_ALL_IDS if after is None else str(after)
        # One row more than asked for tells whether there is a next page.
        if tag is None:
            rows = self._read(PAGE, (before, limit + 1))
        else:
            rows = self._read(TAGGED_PAGE, (tag, before, limit + 1))
        items = f"[{','.join(item for _, item in rows[:limit])}]".encode()
        next_cursor = UUID(rows[limit - 1][0]) if len(rows) > limit else None
        return page_document(items_json(items), next_cursor)

    async def export(self) -> AsyncIterator[bytes]:
        last = AFTER_ALL_IDS
        # Page by page, because a read that stays open keeps the write-ahead log from being cleared.
        while rows := await self._scan(PAGE, (last, EXPORT_CHUNK_ROWS)):
            yield b"".join([item_json(item.encode()) + b"\n" for _, item in rows])
            last = rows[-1][0]

    async def prices(self) -> PriceFigures:
        (figures,) = await self._scan(PRICES)
        return PriceFigures(*figures)

    async def top_tags(self, limit: int) -> list[tuple[str, int]]:
        return await self._scan(TOP_TAGS, (limit,))

    async def ping(self) -> None:
        self._read("SELECT 1 FROM items LIMIT 1", ())

    def _read(self, sql: LiteralString, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            return self._on_loop.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            raise Unavailable("The database could not be read.") from error

    async def _scan(self, sql: LiteralString, parameters: tuple[Any, ...] = ()) -> list[Any]:
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self._timeout_seconds
        try:
            return await loop.run_in_executor(self._readers, self._scan_in_thread, sql, parameters, deadline)
        except sqlite3.OperationalError as error:
            raise Unavailable("The database could not be read in time.") from error

    def _scan_in_thread(self, sql: LiteralString, parameters: tuple[Any, ...], deadline: float) -> list[Any]:
        connection = self._idle.get()
        try:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
            return connection.execute(sql, parameters).fetchall()
        finally:
            self._idle.put(connection)

    async def _write(self, write: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            # SQLite's own timeout is for the lock of one group; a write may have to wait for other groups first.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._writer.run(write)
        except (TimeoutError, sqlite3.OperationalError) as error:
            raise Unavailable("The database could not be written in time.") from error

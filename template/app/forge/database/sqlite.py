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
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, LiteralString, TypeVar
from uuid import UUID

from pydantic import AfterValidator, PositiveFloat, PositiveInt

from app.forge.database.slow_queries import SlowQuerySettings
from app.forge.database.sqlite_errors import NAME_IS_TAKEN, UNAVAILABLE_ERRORS, may_pass
from app.forge.database.sqlite_transactions import STEPS_BETWEEN_LOOKS, Database
from app.forge.database.sqlite_url import database_path
from app.forge.database.sqlite_writer import GroupCommitWriter
from app.forge.errors import NameTaken, NotFound, Unavailable
from app.forge.serializer import item_json, items_json
from app.items.documents import ItemDocument, item_document, page_document
from app.items.models import ItemChanges
from app.items.store import ItemRow, PriceFigures

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

Result = TypeVar("Result")


def _names_a_file(url: str) -> str:
    database_path(url)
    return url


class StoreSettings(SlowQuerySettings):
    """Where the items live, and how long the database may take."""

    database_url: Annotated[str, AfterValidator(_names_a_file)] = "sqlite:///var/app.db"
    database_timeout_seconds: PositiveFloat = 5.0
    database_max_waiting_writes: PositiveInt = 1_000

    @property
    def database_path(self) -> Path:
        """The database file."""
        return database_path(self.database_url)


def connect(settings: StoreSettings, busy_seconds: float, *pragmas: LiteralString) -> sqlite3.Connection:
    """Return a connection to the database file, which is created with its directory if it does not exist.

    Raises `OSError` or `sqlite3.OperationalError`.
    """
    path = settings.database_path
    path.parent.mkdir(parents=True, exist_ok=True)
    # Each connection is used by one thread at a time; which one changes.
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        factory=_connection_class(settings.slow_query_ms),
    )
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connection_class(slow_query_ms: int | None) -> type[sqlite3.Connection]:
    if slow_query_ms is None:
        return sqlite3.Connection
    # Here, so that nothing of it is loaded where it is not wanted.
    from app.forge.database.sqlite_slow_queries import slow_query_connection

    return slow_query_connection(slow_query_ms / 1_000)


def _reader(settings: StoreSettings, busy_seconds: float) -> sqlite3.Connection:
    return connect(settings, busy_seconds, "query_only = ON", "cache_size = -16384")


def _writer(settings: StoreSettings, busy_seconds: float) -> sqlite3.Connection:
    # WAL lets readers go on while a write is under way. FULL survives a power cut; group commit pays for it.
    pragmas: tuple[LiteralString, ...] = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
    return connect(settings, busy_seconds, *pragmas)


@asynccontextmanager
async def open_item_store(settings: StoreSettings) -> AsyncIterator["SqliteItemStore"]:
    """Yield the store and close its connections in the end. The file may be unavailable in between."""
    timeout = settings.database_timeout_seconds
    async with AsyncExitStack() as stack:
        # Connections are opened when they are first used, so that a file that cannot be opened is an outage.
        connections = stack.enter_context(ExitStack())

        def open_writer() -> sqlite3.Connection:
            return connections.enter_context(closing(_writer(settings, timeout)))

        def open_reader(busy_seconds: float) -> sqlite3.Connection:
            return connections.enter_context(closing(_reader(settings, busy_seconds)))

        writer = GroupCommitWriter(open_writer, settings.database_max_waiting_writes)
        stack.push_async_callback(writer.close)
        readers = stack.enter_context(ThreadPoolExecutor(READER_THREADS, "sqlite-reader"))
        store = SqliteItemStore(open_reader, readers, writer, timeout)
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


def _name_taken(error: sqlite3.IntegrityError, detail: str) -> NameTaken:
    """Return the error to raise, or raise the given one again: the statement broke another rule."""
    # Only the message names the column.
    if str(error) != NAME_IS_TAKEN:
        raise error
    return NameTaken(detail)


class SqliteItemStore:
    """See `app.items.store.ItemStore`."""

    def __init__(
        self,
        open_reader: Callable[[float], sqlite3.Connection],
        readers: ThreadPoolExecutor,
        writer: GroupCommitWriter,
        timeout_seconds: float,
    ) -> None:
        self._open_reader = open_reader
        self._on_loop: sqlite3.Connection | None = None
        self._readers = readers
        # For the threads; each is opened by the first that needs it.
        self._idle: queue.SimpleQueue[sqlite3.Connection | None] = queue.SimpleQueue()
        for _ in range(READER_THREADS):
            self._idle.put(None)
        self._writer = writer
        self._timeout_seconds = timeout_seconds
        self.database = Database(writer, readers, self._reader_of_thread, self._idle.put, timeout_seconds)

    async def get(self, item_id: UUID) -> ItemDocument:
        found = self._read(GET, (str(item_id),))
        if not found:
            raise _no_item(item_id)
        return item_document(item_json(found[0][0].encode()))

    async def insert(self, row: ItemRow) -> None:
        try:
            await self._write(lambda connection: connection.execute(INSERT, _values(row)))
        except sqlite3.IntegrityError as error:
            raise _name_taken(error, f"The name {row['name']!r} is taken.") from None

    async def insert_many(self, rows: Sequence[ItemRow]) -> None:
        values = [_values(row) for row in rows]
        try:
            await self._write(lambda connection: connection.executemany(INSERT, values))
        except sqlite3.IntegrityError as error:
            raise _name_taken(error, "A name in the batch is taken. Nothing was created.") from None

    async def update(self, item_id: UUID, changes: ItemChanges, updated_at: datetime) -> ItemDocument:
        assignments = ", ".join(ASSIGNMENTS[field] for field in changes)
        values = [_tags_text(value) if isinstance(value, list) else value for value in changes.values()]
        sql = f"UPDATE items SET {assignments}, updated_at = ? WHERE id = ? RETURNING {ITEM_JSON}"

        def write(connection: sqlite3.Connection) -> list[Any]:
            return connection.execute(sql, (*values, _time_text(updated_at), str(item_id))).fetchall()

        try:
            changed = await self._write(write)
        except sqlite3.IntegrityError as error:
            raise _name_taken(error, f"The name {changes.get('name')!r} is taken.") from None
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
            connection = self._on_loop or self._open_on_loop()
            return connection.execute(sql, parameters).fetchall()
        except UNAVAILABLE_ERRORS as error:
            self._raise_if_unavailable(error, "The database could not be read.")
            raise

    def _open_on_loop(self) -> sqlite3.Connection:
        self._on_loop = self._open_reader(LOOP_BUSY_SECONDS)
        return self._on_loop

    async def _scan(self, sql: LiteralString, parameters: tuple[Any, ...] = ()) -> list[Any]:
        loop = asyncio.get_running_loop()
        deadline = time.monotonic() + self._timeout_seconds
        try:
            return await loop.run_in_executor(self._readers, self._scan_in_thread, sql, parameters, deadline)
        except UNAVAILABLE_ERRORS as error:
            self._raise_if_unavailable(error, "The database could not be read in time.")
            raise

    def _scan_in_thread(self, sql: LiteralString, parameters: tuple[Any, ...], deadline: float) -> list[Any]:
        connection = self._reader_of_thread()
        try:
            connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
            return connection.execute(sql, parameters).fetchall()
        finally:
            self._idle.put(connection)

    def _reader_of_thread(self) -> sqlite3.Connection:
        """Return an idle reader, for the caller to put back; it is opened if it has never been used."""
        connection = self._idle.get()
        try:
            return connection or self._open_reader(self._timeout_seconds)
        except BaseException:
            self._idle.put(None)
            raise

    async def _write(self, write: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            # SQLite's own timeout is for the lock of one group; a write may have to wait for other groups first.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._writer.run(write)
        except UNAVAILABLE_ERRORS as error:
            self._raise_if_unavailable(error, "The database could not be written in time.")
            raise

    def _raise_if_unavailable(self, error: Exception, detail: str) -> None:
        if may_pass(error):
            raise Unavailable(detail) from error
        if not self._is_migrated():
            raise Unavailable("The database's migrations have not run.") from error

    def _is_migrated(self) -> bool:
        try:
            connection = self._on_loop or self._open_on_loop()
            return connection.execute("SELECT 1 FROM alembic_version").fetchone() is not None
        except sqlite3.OperationalError:
            return False

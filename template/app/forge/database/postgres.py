"""Items in PostgreSQL, on asyncpg. The database writes the JSON, at a third of what Python needs for a page."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import asyncpg
from pydantic import PositiveFloat, PositiveInt, SecretStr, field_validator

from app.forge.about import NAME
from app.forge.database.postgres_pool import ConnectionPool
from app.forge.database.postgres_pooler import Pooler, UnnamedStatements
from app.forge.database.postgres_transactions import Database
from app.forge.database.postgres_url import PostgresServer, parse_url
from app.forge.database.slow_queries import SlowQuerySettings
from app.forge.errors import NameTaken, NotFound, Unavailable
from app.forge.serializer import item_json, items_json
from app.forge.server.settings import ServerSettings
from app.forge.server.sizing import share
from app.items.documents import ItemDocument, item_document, page_document
from app.items.models import ItemChanges
from app.items.store import ItemRow, PriceFigures

# The form in which both serializers write times: without a fraction where it is zero.
TIME: LiteralString = (
    "replace(to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), '.000000Z', 'Z') AS {0}"
)
FIELDS: LiteralString = (
    f"id, name, description, price_cents, tags, {TIME.format('created_at')}, {TIME.format('updated_at')}"
)
COLUMNS: LiteralString = "id, name, description, price_cents, tags, created_at, updated_at"

GET: LiteralString = f"""
    SELECT row_to_json(item)::text AS item FROM (SELECT {FIELDS} FROM items WHERE id = $1) AS item"""
INSERT: LiteralString = f"INSERT INTO items ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7)"
# One JSON document carries all rows, in one round trip and all or nothing.
INSERT_MANY: LiteralString = f"""
    INSERT INTO items ({COLUMNS}) SELECT {COLUMNS} FROM json_populate_recordset(NULL::items, $1)"""
# Fields that the JSON document of changes does not have keep their value.
UPDATE: LiteralString = f"""
    WITH changed AS (
        UPDATE items SET (name, description, price_cents, tags, updated_at) = (
            SELECT new.name, new.description, new.price_cents, new.tags, $3::timestamptz
            FROM json_populate_record(items, $2) AS new)
        WHERE id = $1 RETURNING *)
    SELECT row_to_json(item)::text AS item FROM (SELECT {FIELDS} FROM changed) AS item"""
DELETE: LiteralString = "DELETE FROM items WHERE id = $1 RETURNING id"
# Ids are UUIDv7, whose order is the order of creation, so the primary key serves the pages too. One row more
# than asked for tells whether there is a next page.
PAGE: LiteralString = f"""
    WITH found AS MATERIALIZED (
        SELECT * FROM items WHERE id < $1 ORDER BY id DESC LIMIT $2::int + 1),
    shown AS (SELECT {FIELDS} FROM found LIMIT $2)
    SELECT
        coalesce(array_to_json(array_agg(shown)), '[]')::text AS items,
        CASE WHEN (SELECT count(*) FROM found) > $2 THEN (array_agg(shown.id))[$2] END AS next
    FROM shown"""
TAGGED_PAGE: LiteralString = PAGE.replace("WHERE id < $1", "WHERE id < $1 AND tags @> ARRAY[$3::text]")
EXPORT: LiteralString = f"""
    SELECT item.id, row_to_json(item)::text AS item
    FROM (SELECT {FIELDS} FROM items WHERE id < $1 ORDER BY id DESC LIMIT $2) AS item"""
PRICES: LiteralString = """
    SELECT count(*), min(price_cents), max(price_cents), avg(price_cents)::float8 FROM items"""
TOP_TAGS: LiteralString = """
    SELECT tag, count(DISTINCT id) AS items FROM items, unnest(tags) AS tag
    GROUP BY tag ORDER BY items DESC, tag LIMIT $1"""
PING: LiteralString = "SELECT FROM items LIMIT 1"
# Changes nothing, but is refused by a server that takes no changes.
PING_FOR_CHANGES: LiteralString = "SELECT FROM items WHERE false FOR UPDATE"

# As PostgreSQL names it in migrations/postgres/versions/0001_create_items.py.
UNIQUE_NAME = "items_name_key"

# Sorts after every UUIDv7: where the first page starts.
AFTER_ALL_IDS = UUID(int=2**128 - 1)
EXPORT_CHUNK_ROWS = 1_000


class StoreSettings(ServerSettings, SlowQuerySettings):
    """Where the items live, and how much of the database this service may take."""

    database_url: SecretStr
    # What stands between this service and PostgreSQL, see app/forge/database/postgres_pooler.py.
    database_pooler: Pooler = "none"
    database_timeout_seconds: PositiveFloat = 5.0
    # What this service may take of the server's max_connections (100 unless changed), over all workers.
    database_max_connections: PositiveInt = 80
    # What one worker opens at most. More than the server has CPUs for only makes queries wait in the server.
    database_pool_size: PositiveInt = 10
    database_max_waiting_requests: PositiveInt = 1_000

    @field_validator("database_url")
    @classmethod
    def _only_postgres(cls, value: SecretStr) -> SecretStr:
        parse_url(value.get_secret_value())
        return value

    @property
    def server(self) -> PostgresServer:
        """The server that the URL names."""
        return parse_url(self.database_url.get_secret_value())

    @property
    def connections_per_worker(self) -> int:
        """The size of each worker's pool, so that all workers together keep to the limit."""
        return share(self.database_max_connections, self.workers, self.database_pool_size)


@asynccontextmanager
async def open_item_store(settings: StoreSettings) -> AsyncIterator["PostgresItemStore"]:
    """Yield the store and close its connections in the end. The database may be down meanwhile."""
    server = settings.server
    pool = ConnectionPool(
        server,
        size=settings.connections_per_worker,
        max_waiting=settings.database_max_waiting_requests,
        timeout_seconds=settings.database_timeout_seconds,
        application_name=NAME,
        pooler=settings.database_pooler,
        connection_class=_connection_class(settings),
    )
    database = Database(pool, settings.database_timeout_seconds)
    try:
        yield PostgresItemStore(pool, database, PING if server.is_for_reading else PING_FOR_CHANGES)
    finally:
        await database.close()
        await pool.close()


def _connection_class(settings: StoreSettings) -> type[asyncpg.Connection]:
    has_statements = settings.database_pooler != "transaction"
    connection_class: type[asyncpg.Connection] = asyncpg.Connection if has_statements else UnnamedStatements
    if settings.slow_query_ms is not None:
        # Here, so that nothing of it is loaded where it is not wanted.
        from app.forge.database.postgres_slow_queries import slow_query_connection

        connection_class = slow_query_connection(settings.slow_query_ms / 1_000, connection_class)
    return connection_class


def _no_item(item_id: UUID) -> NotFound:
    return NotFound(f"No item has the id {item_id}.")


def _name_taken(error: asyncpg.UniqueViolationError, detail: str) -> Exception:
    # The service knows no other constraint, so its violation is not the client's mistake.
    return NameTaken(detail) if error.constraint_name == UNIQUE_NAME else error


class PostgresItemStore:
    """See `app.items.store.ItemStore`."""

    def __init__(self, pool: ConnectionPool, database: Database, ping: LiteralString) -> None:
        self._pool = pool
        self.database = database
        self._ping: LiteralString = ping

    async def get(self, item_id: UUID) -> ItemDocument:
        found = await self._pool.fetch(GET, item_id)
        if not found:
            raise _no_item(item_id)
        return item_document(item_json(found[0]["item"].encode()))

    async def insert(self, row: ItemRow) -> None:
        try:
            await self._pool.fetch(INSERT, *row.values())
        except asyncpg.UniqueViolationError as error:
            raise _name_taken(error, f"The name {row['name']!r} is taken.") from None

    async def insert_many(self, rows: Sequence[ItemRow]) -> None:
        try:
            await self._pool.fetch(INSERT_MANY, items_json(rows).decode())
        except asyncpg.UniqueViolationError as error:
            raise _name_taken(error, "A name in the batch is taken. Nothing was created.") from None

    async def update(self, item_id: UUID, changes: ItemChanges, updated_at: datetime) -> ItemDocument:
        try:
            changed = await self._pool.fetch(UPDATE, item_id, json.dumps(changes), updated_at)
        except asyncpg.UniqueViolationError as error:
            raise _name_taken(error, f"The name {changes.get('name')!r} is taken.") from None
        if not changed:
            raise _no_item(item_id)
        return item_document(item_json(changed[0]["item"].encode()))

    async def delete(self, item_id: UUID) -> None:
        if not await self._pool.fetch(DELETE, item_id):
            raise _no_item(item_id)

    async def page(self, limit: int, after: UUID | None, tag: str | None) -> bytes:
        before = after or AFTER_ALL_IDS
        if tag is None:
            (page,) = await self._pool.fetch(PAGE, before, limit)
        else:
            (page,) = await self._pool.fetch(TAGGED_PAGE, before, limit, tag)
        return page_document(items_json(page["items"].encode()), page["next"])

    async def export(self) -> AsyncIterator[bytes]:
        last = AFTER_ALL_IDS
        # Page by page, because a cursor would keep a connection for as long as a slow client reads.
        while rows := await self._pool.fetch(EXPORT, last, EXPORT_CHUNK_ROWS):
            yield b"".join([item_json(row["item"].encode()) + b"\n" for row in rows])
            last = rows[-1]["id"]

    async def prices(self) -> PriceFigures:
        (figures,) = await self._pool.fetch(PRICES)
        return PriceFigures(*figures)

    async def top_tags(self, limit: int) -> list[tuple[str, int]]:
        return [(tag, items) for tag, items in await self._pool.fetch(TOP_TAGS, limit)]

    async def ping(self) -> None:
        try:
            await self._pool.fetch(self._ping)
        except asyncpg.PostgresError as error:
            raise Unavailable("The items cannot be read and changed.") from error

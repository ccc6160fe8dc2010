"""Items in MongoDB, one document each.

The unique index on names is what keeps a name from being taken twice, so nothing is written before it is there.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from uuid import UUID

from pydantic import PositiveFloat, PositiveInt, SecretStr, field_validator
from pymongo import ASCENDING, DESCENDING, IndexModel, ReturnDocument
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
)

from app.forge.about import NAME
from app.forge.database.mongodb_driver import (
    Collection,
    Document,
    Session,
    aggregate,
    in_time,
    in_transaction,
    open_collection,
)
from app.forge.database.mongodb_transactions import Database
from app.forge.database.mongodb_url import check_url, names_application
from app.forge.database.slow_queries import SlowQuerySettings
from app.forge.errors import NameTaken, NotFound, Unavailable
from app.forge.serializer import item_json, items_json
from app.forge.server.settings import ServerSettings
from app.forge.server.sizing import share
from app.items.documents import ItemDocument, item_document, page_document
from app.items.models import ItemChanges
from app.items.store import ItemRow, PriceFigures

if TYPE_CHECKING:
    from app.forge.database.mongodb_slow_queries import SlowQueryListener

# Ids are UUIDv7, whose order is the order of creation, so the index on _id serves the pages too.
INDEXES = [
    IndexModel([("name", ASCENDING)], unique=True),
    IndexModel([("tags", ASCENDING), ("_id", DESCENDING)]),
]
FIELDS = ["name", "description", "price_cents", "tags", "created_at", "updated_at"]
NEWEST_FIRST = [("_id", DESCENDING)]
PRICES: list[Document] = [
    {
        "$group": {
            "_id": None,
            "items": {"$sum": 1},
            "lowest": {"$min": "$price_cents"},
            "highest": {"$max": "$price_cents"},
            "mean": {"$avg": "$price_cents"},
        }
    },
]
# A set, because an item that carries a tag twice counts once.
TOP_TAGS: list[Document] = [
    {"$project": {"tags": {"$setUnion": ["$tags", []]}}},
    {"$unwind": "$tags"},
    {"$group": {"_id": "$tags", "items": {"$sum": 1}}},
    {"$sort": {"items": -1, "_id": 1}},
]

EXPORT_CHUNK_ITEMS = 1_000
DUPLICATE_KEY = 11_000
BULK_FAULTS = ("writeErrors", "writeConcernErrors")
# Cut to 128 bytes: https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-Application-Name
APPLICATION_NAME = NAME.encode()[:128].decode(errors="ignore")
# What the store depends on, whatever the URL says.
OPTIONS: dict[str, Any] = {
    # A write is acknowledged when it is on disk; without, a crash may lose the last tenth of a second.
    "journal": True,
    "uuidRepresentation": "standard",
    "tz_aware": True,
    "tzinfo": UTC,
}

# What PyMongo and Motor raise if the server cannot be reached: a name that is not found is a `ConfigurationError`.
UNREACHABLE_ERRORS = (TimeoutError, ConnectionFailure, ConfigurationError)
# What a server responds with if it is starting, stopping, stepping down, overloaded or closed to this user:
# https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
UNAVAILABLE_CODES = frozenset(
    {
        6,  # HostUnreachable
        7,  # HostNotFound
        11,  # UserNotFound
        13,  # Unauthorized
        18,  # AuthenticationFailed
        24,  # LockTimeout
        43,  # CursorNotFound
        46,  # LockBusy
        50,  # MaxTimeMSExpired
        64,  # WriteConcernFailed
        89,  # NetworkTimeout
        91,  # ShutdownInProgress
        112,  # WriteConflict
        134,  # ReadConcernMajorityNotAvailableYet
        189,  # PrimarySteppedDown
        202,  # NetworkInterfaceExceededTimeLimit
        251,  # NoSuchTransaction
        262,  # ExceededTimeLimit
        365,  # TemporarilyUnavailable
        391,  # ReauthenticationRequired
        462,  # IngressRequestRateLimitExceeded
        8_000,  # AtlasError
        9_001,  # SocketException
        10_107,  # NotWritablePrimary
        11_600,  # InterruptedAtShutdown
        11_602,  # InterruptedDueToReplStateChange
        13_435,  # NotPrimaryNoSecondaryOk
        13_436,  # NotPrimaryOrSecondary
        14_031,  # OutOfDiskSpace
    }
)

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class StoreSettings(ServerSettings, SlowQuerySettings):
    """Where the items live, and how much of the database this service may take."""

    database_url: SecretStr
    database_timeout_seconds: PositiveFloat = 5.0
    # What this service may take of the server's connections, over all workers. The smallest clusters of MongoDB
    # Atlas allow 500, of which every worker needs two more for watching each server.
    database_max_connections: PositiveInt = 400
    # What one worker opens at most. More than the server has CPUs for only makes queries wait in the server.
    database_pool_size: PositiveInt = 10
    database_max_waiting_requests: PositiveInt = 1_000

    @property
    def connections_per_worker(self) -> int:
        """The size of each worker's pool, so that all workers together keep to the limit."""
        return share(self.database_max_connections, self.workers, self.database_pool_size)

    @field_validator("database_url")
    @classmethod
    def _names_a_database(cls, url: SecretStr) -> SecretStr:
        check_url(url.get_secret_value(), **OPTIONS)
        return url


@asynccontextmanager
async def open_item_store(settings: StoreSettings) -> AsyncIterator["MongoItemStore"]:
    """Yield the store and close its connections in the end. The database may be down meanwhile."""
    url = settings.database_url.get_secret_value()
    timeout_seconds = settings.database_timeout_seconds
    milliseconds = round(timeout_seconds * 1_000)
    listeners = _listeners(settings.slow_query_ms)
    async with AsyncExitStack() as stack:
        opening = open_collection(
            url,
            "items",
            **({} if names_application(url) else {"appname": APPLICATION_NAME}),
            maxPoolSize=settings.connections_per_worker,
            # Bounds a whole operation, with its wait for a connection, and tells the server the bound too.
            timeoutMS=milliseconds,
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            **OPTIONS,
            event_listeners=listeners,
        )
        items = await stack.enter_async_context(opening)
        for listener in listeners:
            listener.explain_through(items)
            stack.push_async_callback(listener.close)
        max_under_way = settings.connections_per_worker + settings.database_max_waiting_requests
        store = MongoItemStore(items, timeout_seconds, max_under_way)
        stack.push_async_callback(store.database.close)
        yield store


def _listeners(slow_query_ms: int | None) -> list["SlowQueryListener"]:
    if slow_query_ms is None:
        return []
    # Here, so that nothing of it is loaded where it is not wanted.
    from app.forge.database.mongodb_slow_queries import SlowQueryListener

    return [SlowQueryListener(slow_query_ms / 1_000)]


def _document(row: ItemRow) -> Document:
    document: Document = {"_id": row["id"], **row}
    del document["id"]
    return document


def _row(document: Document) -> ItemRow:
    return {
        "id": document["_id"],
        "name": document["name"],
        "description": document["description"],
        "price_cents": document["price_cents"],
        "tags": document["tags"],
        "created_at": document["created_at"],
        "updated_at": document["updated_at"],
    }


def _no_item(item_id: UUID) -> NotFound:
    return NotFound(f"No item has the id {item_id}.")


def _is_unavailable(error: Exception) -> bool:
    """Return whether the same operation may succeed later; otherwise it is wrong."""
    if isinstance(error, UNREACHABLE_ERRORS):
        return True
    if not isinstance(error, OperationFailure):
        return False
    may_be_repeated = any(map(error.has_error_label, ("RetryableWriteError", "TransientTransactionError")))
    return may_be_repeated or error.timeout or bool(_codes(error) & UNAVAILABLE_CODES)


def _codes(error: OperationFailure) -> set[int | None]:
    if isinstance(error, BulkWriteError):
        return {fault.get("code") for kind in BULK_FAULTS for fault in error.details.get(kind, ())}
    return {error.code}


def _is_taken_name(fault: Mapping[str, Any] | None) -> bool:
    """Return whether what the server says of a duplicate key is that the name is taken."""
    fault = fault or {}
    if "keyPattern" in fault:
        return list(fault["keyPattern"]) == ["name"]
    # Servers that only speak MongoDB's protocol may name the index in the message alone.
    return "name_1" in fault.get("errmsg", "")


class MongoItemStore:
    """See `app.items.store.ItemStore`."""

    def __init__(self, items: Collection, timeout_seconds: float, max_under_way: int) -> None:
        self._items = items
        # The drivers let any number of operations wait for a connection.
        self._max_under_way = max_under_way
        self._under_way = 0
        # The driver gives up first, and says why.
        self._patience_seconds = timeout_seconds * 1.2
        self._prepared = False
        self._preparing: asyncio.Task[None] | None = None
        self._has_transactions = False
        self.database = Database(items, timeout_seconds, max_under_way, self._learn_of_transactions)

    async def get(self, item_id: UUID) -> ItemDocument:
        # The whole document: a projection costs more to send than it spares.
        found = await self._answer(self._items.find_one, {"_id": item_id})
        if found is None:
            raise _no_item(item_id)
        return item_document(item_json(_row(found)))

    async def insert(self, row: ItemRow) -> None:
        try:
            await self._answer(self._insert, _document(row))
        except DuplicateKeyError as error:
            if not _is_taken_name(error.details):
                raise
            raise NameTaken(f"The name {row['name']!r} is taken.") from None

    async def insert_many(self, rows: Sequence[ItemRow]) -> None:
        try:
            await self._answer(self._insert_all, [_document(row) for row in rows])
        except BulkWriteError as error:
            (fault, *_) = error.details["writeErrors"] or [{}]
            if fault.get("code") != DUPLICATE_KEY or not _is_taken_name(fault):
                raise
            raise NameTaken("A name in the batch is taken. Nothing was created.") from None

    async def update(self, item_id: UUID, changes: ItemChanges, updated_at: datetime) -> ItemDocument:
        try:
            changed = await self._answer(self._update, item_id, {**changes, "updated_at": updated_at})
        except DuplicateKeyError as error:
            if not _is_taken_name(error.details):
                raise
            raise NameTaken(f"The name {changes.get('name')!r} is taken.") from None
        if changed is None:
            raise _no_item(item_id)
        return item_document(item_json(_row(changed)))

    async def delete(self, item_id: UUID) -> None:
        deleted = await self._answer(self._items.delete_one, {"_id": item_id})
        if not deleted.deleted_count:
            raise _no_item(item_id)

    async def page(self, limit: int, after: UUID | None, tag: str | None) -> bytes:
        wanted: Document = {} if tag is None else {"tags": tag}
        # One item more than asked for tells whether there is a next page.
        found = await self._newest(wanted, after, limit + 1)
        items = found[:limit]
        return page_document(items_json(items), items[-1]["id"] if len(found) > limit else None)

    async def export(self) -> AsyncIterator[bytes]:
        last: UUID | None = None
        # Page by page, because a cursor that a slow client leaves alone for ten minutes is closed by the server.
        while rows := await self._newest({}, last, EXPORT_CHUNK_ITEMS):
            yield b"".join([item_json(row) + b"\n" for row in rows])
            last = rows[-1]["id"]

    async def prices(self) -> PriceFigures:
        figures = await self._answer(aggregate, self._items, PRICES)
        if not figures:
            return PriceFigures(0, None, None, None)
        (found,) = figures
        return PriceFigures(found["items"], found["lowest"], found["highest"], found["mean"])

    async def top_tags(self, limit: int) -> list[tuple[str, int]]:
        tags = await self._answer(aggregate, self._items, [*TOP_TAGS, {"$limit": limit}])
        return [(tag["_id"], tag["items"]) for tag in tags]

    async def ping(self) -> None:
        await self._answer(self._ping)

    async def _answer(
        self,
        operation: Callable[Arguments, Awaitable[Result]],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        if self._under_way >= self._max_under_way:
            raise Unavailable("Too many requests are waiting for the database.")
        self._under_way += 1
        try:
            return await in_time(operation(*arguments, **named), self._patience_seconds)
        except (PyMongoError, TimeoutError) as error:
            if not _is_unavailable(error):
                raise
            raise Unavailable("The database did not answer in time.") from error
        finally:
            self._under_way -= 1

    async def _ping(self) -> None:
        await self._prepare()
        await self._items.find_one({}, ["_id"])

    async def _insert(self, document: Document) -> None:
        await self._prepare()
        try:
            await self._items.insert_one(document)
        except DuplicateKeyError:
            # The drivers repeat a write whose connection failed. MongoDB knows it again; a server that speaks
            # its protocol may not, and then it is this very item that has the name.
            if await self._items.find_one({"_id": document["_id"]}, ["_id"]) is None:
                raise

    async def _insert_all(self, documents: list[Document]) -> None:
        await self._prepare()
        if self._has_transactions:
            await self._insert_in_transaction(documents)
        else:
            await self._insert_or_undo(documents)

    async def _update(self, item_id: UUID, values: Document) -> Document | None:
        await self._prepare()
        changed: Document | None = await self._items.find_one_and_update(
            {"_id": item_id}, {"$set": values}, FIELDS, return_document=ReturnDocument.AFTER
        )
        return changed

    async def _prepare(self) -> None:
        # One attempt for all who wait: queueing for attempts of their own would take hours while MongoDB is down.
        if self._prepared:
            return
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.create_task(self._make_indexes())
        await asyncio.shield(self._preparing)

    async def _learn_of_transactions(self) -> bool:
        await self._prepare()
        return self._has_transactions

    async def _make_indexes(self) -> None:
        """Make the indexes, and learn whether the server has transactions."""
        try:
            await self._items.create_indexes(INDEXES)
        except OperationFailure as error:
            if _is_unavailable(error):
                raise
            # What is in the database is in the way: two items of one name, or another index.
            raise Unavailable("The database's indexes could not be made.") from error
        hello = await self._items.database.command("hello")
        # Members of a replica set, and the routers of a sharded cluster.
        self._has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        self._prepared = True

    async def _insert_in_transaction(self, documents: list[Document]) -> None:
        async def insert(session: Session) -> None:
            await self._items.insert_many(documents, session=session)

        await in_transaction(self._items, insert)

    async def _insert_or_undo(self, documents: list[Document]) -> None:
        # A standalone server has no transactions, and stops at the first name that is taken. What it inserted
        # before is deleted again; others may see it meanwhile, and it stays if the server dies at this moment.
        try:
            await self._items.insert_many(documents)
        except PyMongoError:
            await self._items.delete_many({"_id": {"$in": [document["_id"] for document in documents]}})
            raise

    async def _newest(self, wanted: Document, after: UUID | None, limit: int) -> list[ItemRow]:
        older: Document = {} if after is None else {"_id": {"$lt": after}}
        # Without a batch size, the server sends 101 items and waits to be asked for the others.
        found = self._items.find(wanted | older, FIELDS, sort=NEWEST_FIRST, limit=limit, batch_size=limit)
        return [_row(document) for document in await self._answer(found.to_list, None)]

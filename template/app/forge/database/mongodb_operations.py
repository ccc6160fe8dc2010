"""Operations on MongoDB: limited in number and time, and changes only after the indexes exist."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import ParamSpec, TypeVar

import pymongo
from pymongo import ReadPreference
from pymongo.errors import OperationFailure, PyMongoError

from app.forge.database.mongodb_documents import Documents
from app.forge.database.mongodb_driver import DriverDatabase, Session, in_time, in_transaction
from app.forge.database.mongodb_errors import is_unavailable
from app.forge.database.mongodb_index_models import indexes_of
from app.forge.errors import Unavailable
from app.forge.observability.readings import Reading
from app.forge.table import Table

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")


class Operations:
    """Runs the operations of all tables, which share the connections."""

    def __init__(
        self,
        database: DriverDatabase,
        tables: Sequence[Table],
        timeout_seconds: float,
        pool_size: int,
        max_waiting: int,
    ) -> None:
        self.database = database
        # For reads that a change depends on: a secondary may lag behind.
        self.primary: DriverDatabase = database.with_options(read_preference=ReadPreference.PRIMARY)
        self.tables = {table.name: table for table in tables}
        self.timeout_seconds = timeout_seconds
        # The drivers let any number of operations wait for a connection.
        self.max_under_way = pool_size + max_waiting
        self._pool_size = pool_size
        self._under_way = 0
        # The driver times out first, with a better error.
        self._patience_seconds = timeout_seconds * 1.2
        self._prepared = False
        self._preparing: asyncio.Task[None] | None = None
        self._has_transactions = False

    def readings(self) -> Iterable[Reading]:
        """Yield the metrics of the pool: https://opentelemetry.io/docs/specs/semconv/database/database-metrics/."""
        waiting = max(0, self._under_way - self._pool_size)
        used = {"db_client_connection_state": "used"}
        yield Reading("db_client_connection_count", "Connections in use.", self._under_way - waiting, used)
        yield Reading("db_client_connection_max", "Connections that may be opened.", self._pool_size)
        yield Reading(
            "db_client_connection_pending_requests", "Requests that wait for a connection.", waiting
        )

    async def answer(
        self,
        operation: Callable[Arguments, Awaitable[Result]],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Result:
        """Return the result of the operation, or raise `Unavailable` if it takes too long."""
        if self._under_way >= self.max_under_way:
            raise Unavailable("Too many requests are waiting for the database.")
        self._under_way += 1
        try:
            return await in_time(operation(*arguments, **named), self._patience_seconds)
        except (PyMongoError, TimeoutError) as error:
            if not is_unavailable(error):
                raise
            raise Unavailable("The database did not respond in time.") from error
        finally:
            self._under_way -= 1

    async def write_together(
        self, write: Callable[[Session | None], Coroutine[None, None, Result]]
    ) -> Result:
        """Return the result of the write, which is atomic if the server has transactions."""
        await self.prepare()
        if self._has_transactions:
            return await in_transaction(self.database, write, self.timeout_seconds)
        return await write(None)

    async def has_transactions(self) -> bool:
        """Return whether the server has transactions: a standalone server does not."""
        await self.prepare()
        return self._has_transactions

    async def prepare(self) -> None:
        """Return when the indexes exist, or raise `Unavailable`: unique values depend on them."""
        # All callers share one attempt: separate attempts in a queue would take hours while MongoDB is down.
        if self._prepared:
            return
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.create_task(self._prepare())
        await asyncio.shield(self._preparing)

    async def ping(self) -> None:
        """Return when the indexes exist and the server has responded, or raise `Unavailable`."""
        await self.answer(self._ping)

    async def migrate(self) -> None:
        """Create the indexes, and add defaults of new fields to older documents, without a time limit.

        Filters and summaries do not find a default that is not stored.
        """
        await self.answer(self.database.command, "ping")
        # No time limit.
        with pymongo.timeout(0):
            await self.prepare()
            for table in self.tables.values():
                for name, default in Documents(table).defaults.items():
                    if default is not None:
                        await self.database[table.name].update_many(
                            {name: {"$exists": False}}, {"$set": {name: default}}
                        )

    async def _ping(self) -> None:
        await self.prepare()
        for name in self.tables:
            # One is enough: MongoDB reads a collection that does not exist as an empty one.
            await self.database[name].find_one({}, ["_id"])
            return
        await self.database.command("ping")

    async def _prepare(self) -> None:
        try:
            for table in self.tables.values():
                if indexes := indexes_of(table):
                    await self.database[table.name].create_indexes(indexes)
        except OperationFailure as error:
            if is_unavailable(error):
                raise
            # The contents of the database prevent it: a duplicate of a unique value, or a different index.
            raise Unavailable("The database's indexes could not be made.") from error
        hello = await self.database.command("hello")
        # Members of a replica set, and the routers of a sharded cluster.
        self._has_transactions = "setName" in hello or hello.get("msg") == "isdbgrid"
        self._prepared = True

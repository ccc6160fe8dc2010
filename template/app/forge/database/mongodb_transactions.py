"""Transactions on MongoDB, on replica sets and sharded clusters; a standalone server has none."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import pymongo
from pymongo import ReadPreference
from pymongo.errors import ConnectionFailure, ExecutionTimeout, PyMongoError
from pymongo.write_concern import WriteConcern

from app.forge.database.mongodb_driver import DriverDatabase, Session, transaction_of
from app.forge.database.mongodb_operations import Operations
from app.forge.database.mongodb_references import References
from app.forge.database.mongodb_store import MongoStore
from app.forge.database.transactions import (
    Background,
    ChangeListener,
    TransactionScope,
    in_scope,
    refuse_nesting,
)
from app.forge.errors import (
    NotFound,
    OutcomeUnknown,
    TransactionConflict,
    TransactionsNotSupported,
    Unavailable,
)
from app.forge.observability.readings import Reading
from app.forge.serializer import Serializer
from app.forge.store import Document, Row
from app.forge.table import Table

Result = TypeVar("Result")

# https://www.mongodb.com/docs/manual/core/transactions-in-applications/#transaction-error-handling
TRANSIENT = "TransientTransactionError"
UNKNOWN = "UnknownTransactionCommitResult"
FIRST_BACKOFF_SECONDS = 0.005
# The driver times out first, with a better error.
PATIENCE_FACTOR = 1.2
NO_TRANSACTIONS = (
    "This MongoDB is a standalone server, which has no transactions. Run it as a replica set, of one member if need "
    'be: start mongod with --replSet rs0 and run "rs.initiate()" once.'
)
IN_TIME = "The database did not respond in time."


class Transaction(TransactionScope):
    """A session in a transaction. Operations of `work` with the driver take part in it automatically."""

    def __init__(
        self,
        database: DriverDatabase,
        session: Session,
        stores: Mapping[str, MongoStore],
        references: References,
    ) -> None:
        super().__init__()
        self._stores = stores
        self._references = references
        # The driver's own: `transaction.database["orders"].insert_one({…})`. A transaction is on the primary,
        # and has one write concern, which its session has set.
        self.database: Any = database.with_options(
            read_preference=ReadPreference.PRIMARY, write_concern=WriteConcern()
        )
        self.session = session

    async def insert(self, table: Table, row: Row, /) -> Document:
        """Insert a row of a resource, which `Collection.new_row` makes, and return it.

        Raises `Taken` or `MissingReference`. After `Taken` the transaction cannot go on.
        """
        self._refuse_if_ended()
        return await self._stores[table.name].insert_in(self.session, row)

    async def delete(self, table: Table, row_id: UUID, /) -> None:
        """Delete a row of a resource, and apply the `on_delete` of references to it. Raises `NotFound` or `Referenced`.

        All rows that go or change are reported as by `changed`.
        """
        self._refuse_if_ended()
        together = await self._references.together(table, row_id, self.session)
        deleted = await self.database[table.name].delete_one({"_id": row_id}, session=self.session)
        if not deleted.deleted_count:
            raise NotFound.of(table.noun, row_id)
        self.changed_rows += together.rows()
        await self._references.remove(table, row_id, together, self.session)


class _GivenUp(Exception):
    """The caller no longer waits, so nothing may be committed."""


class _Attempt:
    """Progress of a transaction, for its timeout."""

    def __init__(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.changes = TransactionScope()
        self.is_given_up = False
        self.is_committing = False

    @property
    def remaining_seconds(self) -> float:
        """The time that is left. Raises `_GivenUp` if the transaction is no longer wanted."""
        remaining = self.deadline - time.monotonic()
        if self.is_given_up or remaining <= 0:
            raise _GivenUp("The transaction timed out.")
        return remaining

    def begin_to_commit(self) -> None:
        """Allow the commit, or raise `_GivenUp`; after this it cannot be stopped."""
        self.is_committing = self.remaining_seconds > 0


class Database(ChangeListener):
    """The tables and transactions; `request.state.database` is one."""

    def __init__(self, operations: Operations) -> None:
        super().__init__()
        self._operations = operations
        self._stores: dict[str, MongoStore] = {}
        self._references = References(operations.primary, operations.tables)
        self._under_way = 0
        self._background = Background()

    def store(self, table: Table, serializer: Serializer) -> MongoStore:
        """Return the store of a table with which the database was opened."""
        store = MongoStore(table, serializer, self._operations, self._references, self.tell)
        self._stores[table.name] = store
        return store

    def readings(self) -> Iterable[Reading]:
        """Yield the metrics of the connections."""
        return self._operations.readings()

    async def ping(self) -> None:
        """Return if the database responds and has the indexes, or raise `Unavailable`."""
        await self._operations.ping()

    async def migrate(self) -> None:
        """Create the indexes, and add defaults of new fields to older documents, without a time limit."""
        await self._operations.migrate()

    async def transact(
        self,
        work: Callable[[Transaction], Awaitable[Result]],
        *,
        timeout_seconds: float | None = None,
        retries: int = 0,
    ) -> Result:
        """Return the result of `await work(transaction)` after the commit; if it raises, undo its changes.

        The timeout covers the wait for a connection, the work and the commit; by default it is
        DATABASE_TIMEOUT_SECONDS. With `retries`, the work is run again if MongoDB reports that the error is
        transient, so it must have no effects outside the database.

        Raises `TransactionsNotSupported` on a standalone server, `TransactionConflict` if another transaction changed
        the same documents, `Unavailable` if the database did not respond in time and nothing was committed, and its
        subclass `OutcomeUnknown` if it did not confirm the commit.
        """
        refuse_nesting("Pass `transaction` on to what takes part in it; MongoDB has no savepoints.")
        if self._under_way >= self._operations.max_under_way:
            raise Unavailable("Too many requests are waiting for the database.")
        seconds = timeout_seconds or self._operations.timeout_seconds
        attempt = _Attempt(seconds)
        self._under_way += 1
        # Never cancelled: PyMongo 4.20 can lose the lock of its pool by that.
        running = self._background.start(self._run(work, retries, attempt))
        try:
            async with asyncio.timeout(seconds * PATIENCE_FACTOR) as bound:
                return await asyncio.shield(running)
        except asyncio.CancelledError:
            attempt.is_given_up = True
            raise
        except TimeoutError as error:
            if not bound.expired():
                raise
            attempt.is_given_up = True
            if attempt.is_committing:
                await self.tell(attempt.changes)
                raise _unknown() from error
            raise Unavailable(IN_TIME) from error

    async def close(self) -> None:
        """Return when abandoned transactions have ended."""
        await self._background.close()

    async def _run(
        self, work: Callable[[Transaction], Awaitable[Result]], retries: int, attempt: _Attempt
    ) -> Result:
        try:
            with pymongo.timeout(attempt.remaining_seconds):
                if not await self._operations.has_transactions():
                    raise TransactionsNotSupported(NO_TRANSACTIONS)
            return await self._with_retries(work, retries, attempt)
        except _GivenUp as error:
            raise Unavailable(IN_TIME) from error
        except PyMongoError as error:
            if error.timeout or isinstance(error, ConnectionFailure | ExecutionTimeout):
                raise Unavailable(IN_TIME) from error
            if error.has_error_label(TRANSIENT):
                raise TransactionConflict("Another transaction changed the same documents.") from error
            raise
        finally:
            self._under_way -= 1
            # After the commit, so that reads from now on see the change.
            await self.tell(attempt.changes)

    async def _with_retries(
        self, work: Callable[[Transaction], Awaitable[Result]], retries: int, attempt: _Attempt
    ) -> Result:
        for number in range(retries):
            try:
                return await self._once(work, attempt)
            except PyMongoError as error:
                if not error.has_error_label(TRANSIENT):
                    raise
                # At random, so that conflicting transactions do not conflict again.
                await asyncio.sleep(FIRST_BACKOFF_SECONDS * 2**number * random.uniform(0.5, 1.5))  # noqa: S311
        return await self._once(work, attempt)

    async def _once(self, work: Callable[[Transaction], Awaitable[Result]], attempt: _Attempt) -> Result:
        async with transaction_of(self._operations.database, self._operations.timeout_seconds) as session:
            scope = Transaction(self._operations.database, session, self._stores, self._references)
            # Both record the same changes, including those of a failed attempt.
            scope.changed_rows = attempt.changes.changed_rows
            try:
                with pymongo.timeout(attempt.remaining_seconds):
                    result = await in_scope(scope, work)
                    attempt.begin_to_commit()
                    await self._commit(session, attempt)
            finally:
                scope.end()
        return result

    async def _commit(self, session: Session, attempt: _Attempt) -> None:
        while True:
            try:
                await session.commit_transaction()
            except PyMongoError as error:
                if not error.has_error_label(UNKNOWN):
                    attempt.is_committing = False
                    raise
                # A repeated commit has no further effect.
                if time.monotonic() > attempt.deadline or attempt.is_given_up:
                    raise _unknown() from error
                await asyncio.sleep(FIRST_BACKOFF_SECONDS)
            else:
                return


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown("The database did not confirm the commit in time.")

"""Parts of transactions that every database shares: changes reported to the cache, nesting, background work."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextvars import ContextVar
from typing import Any, TypeVar
from uuid import UUID

from app.forge.table import Table

Result = TypeVar("Result")
# Called with the name of a table and the ids of its rows.
Forget = Callable[[str, Collection[UUID]], Awaitable[None]]


class TransactionScope:
    """The part of a transaction that does not depend on the database."""

    def __init__(self) -> None:
        # Tables' names and rows' ids. A list, because SQLite's writer thread may add to it while the event loop reads.
        self.changed_rows: list[tuple[str, UUID]] = []
        self._has_ended = False

    def changed(self, table: Table, *row_ids: UUID) -> None:
        """Make the cache drop these rows when the transaction has ended.

        Without a cache, it has no effect; with one, a changed row that is not named here is returned in its old
        state until the cache drops it.
        """
        self._refuse_if_ended()
        self.changed_rows += [(table.name, row_id) for row_id in row_ids]

    def end(self) -> None:
        """Refuse further statements, because other requests may use the connection now."""
        self._has_ended = True

    def _refuse_if_ended(self) -> None:
        if self._has_ended:
            raise RuntimeError("The transaction has ended. Do everything that belongs to it inside `work`.")


Scope = TypeVar("Scope", bound=TransactionScope)

_current: ContextVar[TransactionScope | None] = ContextVar("_current", default=None)


async def in_scope(scope: Scope, work: Callable[[Scope], Awaitable[Result]]) -> Result:
    """Return the result of the work; `refuse_nesting` refuses a transaction that it begins."""
    token = _current.set(scope)
    try:
        working = work(scope)
        if not inspect.isawaitable(working):
            raise TypeError(
                f"{work!r} must be an `async def` function, as this database's driver is awaited."
            )
        return await working
    finally:
        _current.reset(token)


def refuse_nesting(instead: str) -> None:
    """Raise `RuntimeError` inside a transaction: a second one would wait for the locks of the first."""
    current = _current.get()
    if current is not None and not current._has_ended:  # noqa: SLF001
        raise RuntimeError(f"A transaction cannot begin inside another. {instead}")


class Background:
    """Tasks that continue when the request that started them is cancelled."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start the work and return its task, which need not be awaited."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    async def close(self) -> None:
        """Return when all have ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # If no caller waits for it any longer, no warning is needed.


class ChangeListener:
    """Reports changed rows to the cache, if there is one."""

    def __init__(self) -> None:
        self._forget: Forget | None = None

    def on_change(self, forget: Forget) -> None:
        """Call this with the rows that a transaction has changed, before its caller continues."""
        self._forget = forget

    async def tell(self, scope: TransactionScope) -> None:
        """Make the cache drop the rows that the transaction changed."""
        if self._forget is None or not scope.changed_rows:
            return
        changed: dict[str, list[UUID]] = {}
        for table, row_id in tuple(scope.changed_rows):
            changed.setdefault(table, []).append(row_id)
        for table, row_ids in changed.items():
            await self._forget(table, row_ids)

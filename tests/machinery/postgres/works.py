"""Work for transactions of PostgreSQL."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from app.forge.database import Transaction
from app.forge.errors import Referenced
from app.forge.table import Table
from app.items.queries import TABLE
from tests.machinery.gates import Gate

RETRIES: dict[str, Any] = {"retries": 20}
TAKE = "UPDATE items SET price_cents = price_cents - $2 WHERE id = $1"
GIVE = "UPDATE items SET price_cents = price_cents + $2 WHERE id = $1"


def moving(
    source: UUID, target: UUID, cents: int, gate: Gate | None = None, error: BaseException | None = None
) -> Callable[[Transaction], Awaitable[int]]:
    """Return work that moves cents from one item to another, with a gate between the two updates."""

    async def work(transaction: Transaction) -> int:
        transaction.changed(TABLE, source, target)
        await transaction.execute(TAKE, source, cents)
        if gate is not None:
            await gate.pass_on_loop()
        if error is not None:
            raise error
        await transaction.execute(GIVE, target, cents)
        return cents

    return work


def doing(
    steps: Sequence[Callable[[Transaction], Any]],
    gate: Gate | None = None,
    error: BaseException | None = None,
) -> Callable[[Transaction], Awaitable[list[Any]]]:
    """Return work that takes the steps and returns their results, and what it meets afterwards."""

    async def work(transaction: Transaction) -> list[Any]:
        done = [await step(transaction) for step in steps]
        if gate is not None:
            await gate.pass_on_loop()
        if error is not None:
            raise error
        return done

    return work


def deleting_what_can_go(table: Table, row_ids: Sequence[UUID]) -> Callable[[Transaction], Awaitable[int]]:
    """Return work that deletes those rows that nothing keeps, and returns the number of the others."""

    async def work(transaction: Transaction) -> int:
        kept = 0
        for row_id in row_ids:
            try:
                async with transaction.savepoint():
                    await transaction.delete(table, row_id)
            except Referenced:
                kept += 1
        return kept

    return work

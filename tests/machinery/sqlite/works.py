"""Work for transactions of SQLite."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from app.forge.database import Transaction
from app.forge.errors import Referenced
from app.forge.table import Table
from app.items.queries import TABLE
from tests.machinery.gates import Gate

# A single writer has no conflicts.
RETRIES: dict[str, Any] = {}
TAKE = "UPDATE items SET price_cents = price_cents - ? WHERE id = ?"
GIVE = "UPDATE items SET price_cents = price_cents + ? WHERE id = ?"


def moving(
    source: UUID, target: UUID, cents: int, gate: Gate | None = None, error: BaseException | None = None
) -> Callable[[Transaction], int]:
    """Return work that moves cents from one item to another, with a gate between the two updates."""

    def work(transaction: Transaction) -> int:
        transaction.changed(TABLE, source, target)
        transaction.execute(TAKE, (cents, str(source)))
        if gate is not None:
            gate.pass_in_thread()
        if error is not None:
            raise error
        transaction.execute(GIVE, (cents, str(target)))
        return cents

    return work


def doing(
    steps: Sequence[Callable[[Transaction], Any]],
    gate: Gate | None = None,
    error: BaseException | None = None,
) -> Callable[[Transaction], list[Any]]:
    """Return work that takes the steps and returns their results, and what it meets afterwards."""

    def work(transaction: Transaction) -> list[Any]:
        done = [step(transaction) for step in steps]
        if gate is not None:
            gate.pass_in_thread()
        if error is not None:
            raise error
        return done

    return work


def deleting_what_can_go(table: Table, row_ids: Sequence[UUID]) -> Callable[[Transaction], int]:
    """Return work that deletes those rows that nothing keeps, and returns the number of the others."""

    def work(transaction: Transaction) -> int:
        kept = 0
        for row_id in row_ids:
            try:
                with transaction.savepoint():
                    transaction.delete(table, row_id)
            except Referenced:
                kept += 1
        return kept

    return work

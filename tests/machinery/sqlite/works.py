"""Work for transactions of SQLite."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from app.forge.database import Transaction
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

"""Work for transactions of PostgreSQL."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from app.forge.database import Transaction
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

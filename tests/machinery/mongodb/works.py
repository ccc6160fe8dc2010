"""Work for transactions of MongoDB."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from app.forge.database import Transaction
from app.items.queries import TABLE
from tests.machinery.gates import Gate

RETRIES: dict[str, Any] = {"retries": 50}


def moving(
    source: UUID, target: UUID, cents: int, gate: Gate | None = None, error: BaseException | None = None
) -> Callable[[Transaction], Awaitable[int]]:
    """Return work that moves cents from one item to another, with a gate between the two updates."""

    async def work(transaction: Transaction) -> int:
        transaction.changed(TABLE, source, target)
        items = transaction.database["items"]
        await items.update_one({"_id": source}, {"$inc": {"price_cents": -cents}})
        if gate is not None:
            await gate.pass_on_loop()
        if error is not None:
            raise error
        await items.update_one({"_id": target}, {"$inc": {"price_cents": cents}})
        return cents

    return work

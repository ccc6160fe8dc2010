"""Run the transaction in a project's docs/changing.md, in the project and its environment."""

import asyncio
import re
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from app.forge import database as store
from app.forge import errors
from app.lifespan import lifespan
from app.main import create_app
from app.resources import RESOURCES

# Alone on the variant's own database, in tables that are dropped afterwards.
TABLES = (
    "CREATE TABLE stock (item_id {id}, quantity bigint)",
    "CREATE TABLE reservations (item_id {id}, quantity bigint)",
)
MOST_LINES = 10


class OutOfStock(errors.ServiceError):
    """The example's own error."""

    status = HTTPStatus.CONFLICT


def example() -> str:
    """Return the example, after checking its length."""
    section = Path("docs/changing.md").read_text(encoding="utf-8").partition("## Transactions\n")[2]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    assert len(code.splitlines()) <= MOST_LINES, code
    return str(code)


class Sqlite:
    """The tables in SQLite."""

    async def fill(self, database: Any, item_id: UUID) -> None:
        def work(transaction: Any) -> None:
            for table in TABLES:
                transaction.execute(table.format(id="text"))
            transaction.execute("INSERT INTO stock VALUES (?, 5)", (str(item_id),))

        await database.transact(work)

    async def read(self, database: Any) -> tuple[list[int], list[int]]:
        def work(transaction: Any) -> Any:
            names = ("stock", "reservations")
            return [transaction.execute(f"SELECT quantity FROM {name}").fetchall() for name in names]

        stock, reserved = await database.transact(work)
        return [row[0] for row in stock], [row[0] for row in reserved]

    async def empty(self, database: Any) -> None:
        def work(transaction: Any) -> None:
            transaction.execute("DROP TABLE stock")
            transaction.execute("DROP TABLE reservations")

        await database.transact(work)


class Postgres:
    """The tables in PostgreSQL."""

    async def fill(self, database: Any, item_id: UUID) -> None:
        async def work(transaction: Any) -> None:
            for table in TABLES:
                await transaction.execute(table.format(id="uuid"))
            await transaction.execute("INSERT INTO stock VALUES ($1, 5)", item_id)

        await database.transact(work)

    async def read(self, database: Any) -> tuple[list[int], list[int]]:
        async def work(transaction: Any) -> Any:
            names = ("stock", "reservations")
            return [await transaction.fetch(f"SELECT quantity FROM {name}") for name in names]

        stock, reserved = await database.transact(work)
        return [row[0] for row in stock], [row[0] for row in reserved]

    async def empty(self, database: Any) -> None:
        async def work(transaction: Any) -> None:
            await transaction.execute("DROP TABLE stock, reservations")

        await database.transact(work)


class Mongodb:
    """The collections in MongoDB."""

    async def fill(self, database: Any, item_id: UUID) -> None:
        async def work(transaction: Any) -> None:
            await transaction.database["stock"].insert_one({"item_id": item_id, "quantity": 5})

        await database.transact(work)

    async def read(self, database: Any) -> tuple[list[int], list[int]]:
        async def work(transaction: Any) -> Any:
            names = ("stock", "reservations")
            return [await transaction.database[name].find().to_list(None) for name in names]

        stock, reserved = await database.transact(work)
        return [found["quantity"] for found in stock], [found["quantity"] for found in reserved]

    async def empty(self, database: Any) -> None:
        async def work(transaction: Any) -> None:
            await transaction.database["stock"].delete_many({})
            await transaction.database["reservations"].delete_many({})

        await database.transact(work)


KINDS = {"sqlite": Sqlite, "postgres": Postgres, "mongodb": Mongodb}


async def main() -> None:
    """Reserve twice: first with enough stock, then without."""
    names: dict[str, Any] = {**vars(store), **vars(errors), "UUID": UUID}
    names |= {each.table.name.upper(): each.table for each in RESOURCES}
    names["OutOfStock"] = OutOfStock
    exec(compile(example(), "docs/changing.md", "exec"), names)
    tables = KINDS[store.Database.__module__.rpartition(".")[2].partition("_")[0]]()
    item_id = uuid4()
    async with lifespan(create_app()) as state:
        database = state["database"]
        await tables.fill(database, item_id)
        try:
            await names["reserve"](database, item_id, 2)
            assert await tables.read(database) == ([3], [2])
            try:
                await names["reserve"](database, item_id, 4)
            except OutOfStock as refusal:
                assert str(item_id) in refusal.detail
            else:
                raise AssertionError("More was reserved than there is.")
            assert await tables.read(database) == ([3], [2])
        finally:
            await tables.empty(database)


if __name__ == "__main__":
    asyncio.run(main())

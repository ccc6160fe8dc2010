"""Features of tables in PostgreSQL alone: their SQL, the number of statements, and concurrent changes by others."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import combinations
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import BaseModel
from uuid_utils.compat import uuid7

from app import resources
from app.forge.bodies import Body
from app.forge.database import Database, open_database
from app.forge.database.postgres_statements import constraint_name
from app.forge.database.postgres_store import PostgresStore
from app.forge.errors import MissingReference, NotFound, PreconditionFailed, Referenced, Taken, Unavailable
from app.forge.fields import Exact, Json, text
from app.forge.serializer import Serializer
from app.forge.table import Column, Reference, Table, table_of
from app.settings import Settings
from tests.machinery.test_store import FULL, LATER, Shop, customer, item
from tests.machinery.wire import Counter, counting

AXES: tuple[str, ...] = ("serializer",)

TABLES = [resource.table for resource in resources.RESOURCES]
RESOURCES = {resource.table.name: resource for resource in resources.RESOURCES}
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RELATIONS = ["item", "buyer", "keeper", "parent"]


async def filled(database: Database) -> Shop:
    shop = Shop(database)
    await shop.items.insert(shop.item)
    await shop.customers.insert(shop.customer)
    return shop


@pytest.fixture
async def outside(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Yield a connection that is not the service's."""
    connection = await settings.server.connect(timeout_seconds=5, server_settings={})
    yield connection
    await connection.close()


# The number of statements.


@pytest.fixture
async def counted(settings: Settings, _empty_database: None) -> AsyncIterator[tuple[Shop, Counter]]:
    """Yield a shop whose statements are counted on their way to the server."""
    async with counting(settings.database_url.get_secret_value()) as (url, counter):
        behind = settings.model_copy(update={"database_url": type(settings.database_url)(url)})
        async with open_database(behind, TABLES) as database:
            yield await filled(database), counter


async def test_everything_but_a_change_with_an_entity_tag_is_one_statement(
    counted: tuple[Shop, Counter],
) -> None:
    shop, counter = counted
    lines = shop.order_lines
    top = shop.line("top", **FULL)
    row = shop.line("row", parent_id=top["id"], buyer_id=shop.customer["id"])
    etag = ""

    async def change() -> None:
        nonlocal etag
        etag = (await lines.update(row["id"], {"quantity": 3}, LATER)).etag

    steps: list[tuple[int, Callable[[], Awaitable[object]]]] = [
        (1, lambda: lines.insert(top)),
        (1, lambda: lines.insert_many([row, *(shop.line(str(number)) for number in range(120))])),
        (1, lambda: lines.get(row["id"])),
        (1, lambda: lines.get_expanded(row["id"], RELATIONS)),
        (1, lambda: lines.page(100, None, {}, ())),
        (1, lambda: lines.page(100, None, {}, RELATIONS)),
        (1, lambda: lines.page(100, None, {"status": "open", "links": UUID(int=1), "due": NOW}, RELATIONS)),
        (1, lines.summary),
        (1, change),
        (2, lambda: lines.update(row["id"], {"quantity": 4}, LATER, etag)),
        (2, lambda: lines.update(row["id"], {"quantity": 5}, LATER, "*")),
        (1, lambda: shop.items.update(shop.item["id"], {"price_cents": 5}, LATER)),
        (1, shop.database.ping),
    ]
    # asyncpg queries unknown types once per connection.
    await lines.insert(shop.line("before", **{**FULL, "token": None}))
    await lines.page(1, None, {"links": UUID(int=1)}, ())
    await lines.summary()
    for number, (statements, step) in enumerate(steps):
        before = counter.statements
        await step()
        assert counter.statements - before == statements, f"step {number}"


async def test_a_removal_without_dependent_rows_is_one_statement(counted: tuple[Shop, Counter]) -> None:
    shop, counter = counted
    other = item("other")
    await shop.items.insert(other)
    before = counter.statements
    await shop.items.delete(other["id"])
    assert counter.statements - before == 1


async def test_a_set_of_filters_has_one_statement_and_all_together_have_a_limit(settings: Settings) -> None:
    alone = settings.model_copy(update={"database_pool_size": 1})
    async with open_database(alone, TABLES) as database:
        lines = Shop(database).order_lines
        values = {**FULL, "item_id": UUID(int=1), "links": UUID(int=1)}
        names = [column.name for column in RESOURCES["order_lines"].table.columns if column.is_filter]
        assert len(names) >= 7
        count = "SELECT count(*) FROM pg_prepared_statements"
        await lines.page(1, None, {"status": "open", "due": NOW}, ["item", "buyer"])
        ((before,),) = await database._pool.fetch(count)
        await lines.page(1, None, {"due": NOW, "status": "open"}, ["buyer", "item"])
        assert await database._pool.fetch(count) == [(before,)]
        for size in range(len(names) + 1):
            for chosen in combinations(names, size):
                await lines.page(1, None, {name: values[name] for name in chosen}, ())
        ((kept,),) = await database._pool.fetch(count)
        assert 50 < kept <= 100


# Names and kinds of columns that the tables of the shop do not have.

Amount = Annotated[Decimal, Exact(digits=18, places=8)]


class OrderDraft(Body):
    """SQL keywords as names, and a list of every kind."""

    select: Annotated[str, text(max=50)]
    group: list[float]
    user: list[Amount]
    where: list[date]
    desc: list[datetime]
    all: list[bool]
    end: list[Annotated[Any, Json(max_bytes=1_000)]] | None = None
    check: Annotated[Any, Json(max_bytes=1_000)]
    amount: Amount
    table_id: UUID | None = None


class Order(BaseModel):
    """The same in a response."""

    id: UUID
    select: str
    group: list[float]
    user: list[Amount]
    where: list[date]
    desc: list[datetime]
    all: list[bool]
    end: list[Any] | None
    check: Any
    amount: Amount
    table_id: UUID | None
    created_at: datetime
    updated_at: datetime


class OrderExpanded(Order):
    """The same with the order that it refers to."""

    table: Order | None = None


ORDERS = table_of(
    "order",
    "order",
    OrderDraft,
    unique=["select"],
    filters=["where", "user", "all", "amount"],
    references={"table_id": Reference("order", "cascade")},
)
CREATE_ORDERS = """
    CREATE TABLE "order" (
        id uuid PRIMARY KEY, "select" text COLLATE "C" NOT NULL, "group" float8[] NOT NULL, "user" numeric(18, 8)[],
        "where" date[] NOT NULL, "desc" timestamptz[] NOT NULL, "all" boolean[] NOT NULL, "end" json[],
        "check" json NOT NULL, amount numeric(18, 8) NOT NULL,
        table_id uuid CONSTRAINT order_table_id_fkey REFERENCES "order" ON DELETE CASCADE,
        created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
    CREATE UNIQUE INDEX order_select_key ON "order" ("select")
"""


@pytest.fixture
async def orders(settings: Settings, outside: asyncpg.Connection) -> AsyncIterator[PostgresStore]:
    await outside.execute(CREATE_ORDERS)
    try:
        async with open_database(settings, [ORDERS]) as database:
            yield database.store(ORDERS, Serializer(Order, OrderExpanded))
    finally:
        await outside.execute('DROP TABLE "order"')


def order(select: str, **values: Any) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "select": select,
        "group": [1.0, 1e-7],
        "user": [Decimal("0.00000001")],
        "where": [date.min, date.max],
        "desc": [NOW, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)],
        "all": [True, False],
        "end": [None, {"a": [1, "x"]}, 1.0, "text"],
        "check": None,
        "amount": Decimal("12.00000000"),
        "table_id": None,
        "created_at": NOW,
        "updated_at": NOW,
        **values,
    }


async def test_sql_keywords_can_be_names_of_tables_and_columns(orders: PostgresStore) -> None:
    first, second = order("a"), order("b", check=["x", 1e-7])
    second["table_id"] = first["id"]
    inserted = await orders.insert(first)
    await orders.insert_many([second])
    assert inserted == await orders.get(first["id"])
    found = json.loads(inserted.body)
    assert list(found) == list(first)
    assert (found["group"], found["where"]) == ([1.0, 1e-7], ["0001-01-01", "9999-12-31"])
    assert found["desc"] == ["2026-01-01T00:00:00Z", "9999-12-31T23:59:59.999000Z", "0001-01-01T00:00:00Z"]
    assert (found["all"], found["end"]) == ([True, False], [None, {"a": [1, "x"]}, 1.0, "text"])
    changed = await orders.update(second["id"], {"check": None, "where": []}, LATER)
    assert changed == await orders.get(second["id"])
    assert json.loads(changed.body)["check"] is None
    filters = {"where": date.max, "all": False, "user": Decimal("0.00000001"), "amount": Decimal(12)}
    assert len(json.loads(await orders.page(10, None, filters, ["table"]))["items"]) == 1
    expanded = json.loads((await orders.get_expanded(second["id"], ["table"])).body)
    assert expanded["table"] == found
    assert len([chunk async for chunk in orders.export()]) == 1
    assert (await orders.summary())["all"] == [{"value": False, "count": 2}, {"value": True, "count": 2}]
    with pytest.raises(Taken, match="'a'"):
        await orders.insert_many([order("c"), order("a")])
    with pytest.raises(MissingReference):
        await orders.update(first["id"], {"table_id": uuid7()}, LATER)
    await orders.delete(first["id"])
    assert [chunk async for chunk in orders.export()] == []


@pytest.mark.parametrize("amount", ["0.00000001", "-0.00000000", "-0.00000001", "9999999999.99999999"])
async def test_a_decimal_is_written_alike_by_the_service_and_the_database(
    orders: PostgresStore, amount: str
) -> None:
    row = order("a", amount=Decimal(amount))
    inserted = await orders.insert(row)
    assert inserted == await orders.get(row["id"])


async def test_a_mean_is_exact_before_it_is_rounded(orders: PostgresStore) -> None:
    # Slightly less than midway between the amounts; `avg` rounds it to midway.
    amounts = ["99990000.00000000"] * 5_001 + ["99990000.00000001"] * 5_000
    await orders.insert_many([order(str(n), amount=Decimal(amount)) for n, amount in enumerate(amounts)])
    assert (await orders.summary())["amount"]["mean"] == "99990000.00000000"
    await orders.insert(order("last", amount=Decimal("99990000.00000001")))
    assert (await orders.summary())["amount"]["mean"] == "99990000.00000001"


async def test_an_empty_table_has_no_mean(orders: PostgresStore) -> None:
    assert (await orders.summary())["amount"] == {"min": None, "max": None, "mean": None}


async def test_a_response_to_an_insert_has_the_bytes_of_a_read(database: Database) -> None:
    shop = await filled(database)
    choose = random.Random(1)
    for number in range(200):
        row = shop.line(
            str(number),
            weight=choose.choice(
                [choose.random() * 10.0 ** choose.randint(-300, 300), float(choose.randint(0, 9))]
            ),
            price=Decimal(choose.randint(0, 10**12 - 1)).scaleb(-2),
            extra=[choose.random() * 10.0 ** choose.randint(-30, 30), chr(choose.randint(1, 0xD7FF))],
            due=date.fromordinal(choose.randint(1, date.max.toordinal())),
        )
        assert await shop.order_lines.insert(row) == await shop.order_lines.get(row["id"])


@pytest.mark.parametrize(
    ("field", "value", "written"),
    [
        ("due", date.min, "0001-01-01"),
        ("due", date.max, "9999-12-31"),
        ("paid_at", datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        ("paid_at", datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), "9999-12-31T23:59:59.999000Z"),
    ],
)
async def test_the_first_and_the_last_moment_are_not_infinity(
    database: Database, field: str, value: Any, written: str
) -> None:
    lines = (shop := await filled(database)).order_lines
    row = shop.line("a", **{field: value})
    await lines.insert(row)
    await lines.insert_many([shop.line("b", **{field: value})])
    assert json.loads((await lines.get(row["id"])).body)[field] == written
    assert json.loads((await lines.update(row["id"], {field: value}, LATER)).body)[field] == written
    assert len(json.loads(await lines.page(10, None, {field: value}, ()))["items"]) == 2


async def test_the_mean_of_the_largest_numbers_is_one_of_them(database: Database) -> None:
    shop = await filled(database)
    largest = 1.7976931348623157e308
    await shop.order_lines.insert_many([shop.line(str(number), weight=largest) for number in range(3)])
    assert (await shop.order_lines.summary())["weight"] == {"min": largest, "max": largest, "mean": largest}
    await shop.order_lines.insert(shop.line("small", weight=1e-7))
    assert (await shop.order_lines.summary())["weight"]["mean"] == pytest.approx(largest / 4 * 3)


@pytest.mark.parametrize(
    "missing", [Table("absent", "absent", ()), Table("order", "order", (Column("absent", "str"),))]
)
@pytest.mark.usefixtures("orders")
async def test_a_table_or_column_of_a_pending_migration_is_an_outage(
    settings: Settings, outside: asyncpg.Connection, missing: Table
) -> None:
    async with open_database(settings, [*TABLES, missing]) as database:
        store = database.store(missing, Serializer(Order, OrderExpanded))
        for attempt in (database.ping, lambda: store.page(1, None, {}, ()), lambda: store.get(uuid7())):
            with pytest.raises(Unavailable, match="not been migrated"):
                await attempt()
        await outside.execute("CREATE TABLE absent (id uuid, created_at timestamptz, updated_at timestamptz)")
        await outside.execute('ALTER TABLE "order" ADD COLUMN absent text')
        try:
            await database.ping()
            assert await store.page(1, None, {}, ()) == b'{"items":[],"next":null}'
        finally:
            await outside.execute("DROP TABLE absent")


async def test_a_database_without_tables_responds(settings: Settings) -> None:
    async with open_database(settings, []) as database:
        await database.ping()


@pytest.mark.usefixtures("_empty_database")
@pytest.mark.parametrize("pooler", ["transaction", "prepared"])
async def test_a_table_behind_a_pooler_is_like_any_other(settings: Settings, pooler: str) -> None:
    behind = settings.model_copy(update={"database_pooler": pooler, "database_pool_size": 1})
    async with open_database(behind, TABLES) as database:
        shop = await filled(database)
        row = shop.line("a", **FULL, buyer_id=shop.customer["id"])
        inserted = await shop.order_lines.insert(row)
        await shop.order_lines.insert_many([shop.line("b")])
        assert await shop.order_lines.get(row["id"]) == inserted
        page = json.loads(await shop.order_lines.page(9, None, {"status": "paid"}, RELATIONS))
        assert page["items"][0]["buyer"]["email"] == shop.customer["email"]
        changed = await shop.order_lines.update(row["id"], {"extra": None}, LATER, inserted.etag)
        with pytest.raises(PreconditionFailed):
            await shop.order_lines.delete(row["id"], inserted.etag)
        await shop.order_lines.delete(row["id"], changed.etag)
        await shop.customers.delete(shop.customer["id"])
        assert (await shop.order_lines.summary())["count"] == 0


# Concurrent changes by others.


async def waiting_for_a_lock(outside: asyncpg.Connection) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    for _ in range(200):
        if await outside.fetchval(waiting):
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


@pytest.fixture
async def another(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Yield the connection of another writer."""
    connection = await settings.server.connect(timeout_seconds=5, server_settings={})
    yield connection
    await connection.close()


async def update(store: PostgresStore, row_id: UUID, etag: str) -> None:
    await store.update(row_id, {"description": "d"}, LATER, etag)


async def delete(store: PostgresStore, row_id: UUID, etag: str) -> None:
    await store.delete(row_id, etag)


@pytest.fixture
def store(database: Database) -> PostgresStore:
    """Return the store of items."""
    items = RESOURCES["items"]
    return database.store(items.table, items.serializer())


@pytest.mark.parametrize("change", [update, delete])
@pytest.mark.parametrize(
    ("sql", "end", "outcome"),
    [
        ("UPDATE items SET price_cents = 7", "COMMIT", PreconditionFailed),
        ("UPDATE items SET price_cents = 7", "ROLLBACK", None),
        # Another version with the same content, so the same entity tag.
        ("UPDATE items SET price_cents = price_cents", "COMMIT", None),
        ("DELETE FROM items", "COMMIT", NotFound),
        ("DELETE FROM items", "ROLLBACK", None),
    ],
)
async def test_a_change_with_an_entity_tag_waits_for_another_and_checks_again(
    store: PostgresStore,
    outside: asyncpg.Connection,
    another: asyncpg.Connection,
    change: Callable[[PostgresStore, UUID, str], Awaitable[None]],
    *,
    sql: str,
    end: str,
    outcome: type[Exception] | None,
) -> None:
    row = item("a")
    etag = (await store.insert(row)).etag
    await another.execute(f"BEGIN; {sql}")
    changing = asyncio.ensure_future(change(store, row["id"], etag))
    await waiting_for_a_lock(outside)
    await another.execute(end)
    assert [type(error) for error in await asyncio.gather(changing, return_exceptions=True)] == [
        type(None) if outcome is None else outcome
    ]


async def test_a_new_reference_to_a_row_being_removed_is_removed_too_and_caches_are_notified(
    database: Database, outside: asyncpg.Connection, another: asyncpg.Connection
) -> None:
    shop = await filled(database)
    new = uuid7()
    other = another.transaction()
    await other.start()
    await another.execute(
        "INSERT INTO order_lines (id, number, item_id, keeper_id, quantity, price, status, gift, codes, links, "
        "created_at, updated_at) VALUES ($1, 'new', $2, $3, 1, 1, 'open', false, '{}', '{}', now(), now())",
        new,
        shop.item["id"],
        shop.customer["id"],
    )
    removal = asyncio.create_task(shop.customers.delete(shop.customer["id"]))
    await waiting_for_a_lock(outside)
    await other.commit()
    await removal
    assert ("order_lines", new) in shop.told
    assert await another.fetchval("SELECT count(*) FROM order_lines") == 0


async def test_rows_that_refer_to_each_other_in_a_circle_are_deleted_together(database: Database) -> None:
    shop = await filled(database)
    first, second = shop.line("a"), shop.line("b")
    await shop.order_lines.insert_many([first, second])
    await shop.order_lines.update(first["id"], {"parent_id": second["id"]}, LATER)
    await shop.order_lines.update(second["id"], {"parent_id": first["id"]}, LATER)
    await shop.order_lines.delete(first["id"])
    assert {("order_lines", first["id"]), ("order_lines", second["id"])} >= set(shop.told) != set()
    assert (await shop.order_lines.summary())["count"] == 0


async def test_concurrent_removals_of_related_rows_all_end(database: Database) -> None:
    shop = await filled(database)
    customers = [customer(f"{number}@customer") for number in range(6)]
    await shop.customers.insert_many(customers)
    for number in range(60):
        keeper, buyer = customers[number % 6]["id"], customers[(number + 1) % 6]["id"]
        await shop.order_lines.insert(shop.line(str(number), keeper_id=keeper, buyer_id=buyer))
    await asyncio.gather(*(shop.customers.delete(each["id"]) for each in customers))
    assert (await shop.order_lines.summary())["count"] == 0
    assert len({row_id for _, row_id in shop.told}) == 60


async def test_a_refused_removal_names_what_refers_to_the_row(database: Database) -> None:
    shop = await filled(database)
    await shop.order_lines.insert(shop.line("a"))
    with pytest.raises(
        Referenced, match=f"item {shop.item['id']} cannot be removed: at least one order line"
    ):
        await shop.items.delete(shop.item["id"])


async def test_a_constraint_with_a_long_name_is_recognized_by_its_truncated_name(
    outside: asyncpg.Connection,
) -> None:
    kept = await outside.fetchval(f"SELECT '{'t' * 40}_{'c' * 40}_key'::name::text")
    assert constraint_name("t" * 40, "c" * 40, "key") == kept
    assert constraint_name("items", "name", "key") == "items_name_key"

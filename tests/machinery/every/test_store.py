"""The promises of `app.forge.store.Store`, tested on the real database with a shop: items, customers and order lines."""

import asyncio
import json
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from operator import methodcaller
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from app.forge.database import Database
from app.forge.errors import MissingReference, NotFound, PreconditionFailed, Referenced, ServiceError, Taken
from app.forge.store import Row, Store, document_of
from app.resources import RESOURCES
from tests.machinery.gates import Gate
from tests.machinery.works import RETRIES, deleting_what_can_go, doing

AXES: tuple[str, ...] = ("database", "mongodb_driver", "serializer")

RESOURCE = {resource.table.name: resource for resource in RESOURCES}
if not {"items", "customers", "order_lines"} <= RESOURCE.keys():
    pytest.skip("These tests need the tables of a shop.", allow_module_level=True)

CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
LATER = CREATED_AT + timedelta(days=1)
EVERY_KIND_OF_TEXT = "".join(map(chr, [*range(1, 0x80), 0xE9, 0x2028, 0xFFFD, 0x1F600]))
# As tags, which have up to 50 characters.
EVERY_KIND_OF_TAG = [
    EVERY_KIND_OF_TEXT[start : start + 50] for start in range(0, len(EVERY_KIND_OF_TEXT), 50)
]
EVERY_KIND_OF_JSON: list[Any] = [
    {"b": [1, 2.5, -0.0, 1e-7, 1e300, None, True, {}], "a": {"z": "é", "y": EVERY_KIND_OF_TEXT}},
    [[[[]]]],
    "text",
    2**63 - 1,
    -(2**63),
    0.1,
    False,
    "",
]
FLOATS = [0.0, 0.1, 1 / 3, 100.0, 2.0**53 + 2, 1e16, 1e22, 1e-5, 1e-7, 5e-324, 1.7976931348623157e308]
DECIMALS = ["0.00", "0.01", "0.10", "7.00", "19.90", "1234567.89", "9999999999.99"]
FULL: dict[str, Any] = {
    "quantity": 7,
    "weight": 0.1,
    "price": Decimal("19.90"),
    "status": "paid",
    "due": date(2026, 2, 28),
    "paid_at": datetime(2026, 3, 1, 12, 0, 0, 5_000, UTC),
    "token": UUID("0188a5eb-0000-4000-8000-0000000000aa"),
    "gift": True,
    "note": EVERY_KIND_OF_TEXT,
    "codes": [3, -1, 2**53 - 1, 3],
    "links": [UUID(int=1), UUID(int=2**128 - 1)],
    "extra": EVERY_KIND_OF_JSON,
    "date": date(1, 1, 1),
    "count_of": -(2**53) + 1,
}


def item(name: str, **values: Any) -> Row:
    row = {"id": uuid7(), "name": name, "description": None, "price_cents": 100, "tags": []}
    return {**row, "created_at": CREATED_AT, "updated_at": CREATED_AT, **values}


def customer(email: str, **values: Any) -> Row:
    row = {"id": uuid7(), "email": email, "vip": False}
    return {**row, "created_at": CREATED_AT, "updated_at": CREATED_AT, **values}


def order_line(number: str, item_id: UUID, keeper_id: UUID, **values: Any) -> Row:
    row = {
        "id": uuid7(),
        "number": number,
        "item_id": item_id,
        "buyer_id": None,
        "keeper_id": keeper_id,
        "parent_id": None,
        "quantity": 1,
        "weight": None,
        "price": Decimal("1.00"),
        "status": "open",
        "due": None,
        "paid_at": None,
        "token": None,
        "gift": False,
        "note": None,
        "codes": [],
        "links": [],
        "extra": None,
        "date": None,
        "count_of": None,
    }
    return {**row, "created_at": CREATED_AT, "updated_at": CREATED_AT, **values}


def inserts(name: str, *rows: Row) -> list[Callable[[Any], Any]]:
    """Return steps of a transaction that insert rows."""
    return [methodcaller("insert", RESOURCE[name].table, row) for row in rows]


def deletes(name: str, *row_ids: UUID) -> list[Callable[[Any], Any]]:
    """Return steps of a transaction that delete rows."""
    return [methodcaller("delete", RESOURCE[name].table, row_id) for row_id in row_ids]


def as_json(value: Any) -> Any:
    """Return the JSON form of a value of a row, or of a row."""
    match value:
        case dict():
            return {name: as_json(each) for name, each in value.items()}
        case list():
            return [as_json(each) for each in value]
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case UUID() | Decimal():
            return str(value)
    return value


class Shop:
    """The stores of a shop with one item and one customer, to which order lines may refer."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.items, self.customers, self.order_lines = (
            self.store(name) for name in ("items", "customers", "order_lines")
        )
        self.item, self.customer = item("the item"), customer("the@customer")
        self.told: list[tuple[str, UUID]] = []
        database.on_change(self.forget)

    def store(self, name: str) -> Store:
        """Return the store of a table as the service has it."""
        return self.database.store(RESOURCE[name].table, RESOURCE[name].serializer())

    def line(self, number: str, **values: Any) -> Row:
        """Return an order line of the shop's item and customer."""
        return order_line(number, **{"item_id": self.item["id"], "keeper_id": self.customer["id"], **values})

    async def forget(self, table: str, row_ids: Collection[UUID]) -> None:
        """Record the changes that a cache would be notified of."""
        self.told += [(table, row_id) for row_id in row_ids]


@pytest.fixture
async def shop(database: Database) -> Shop:
    """Return a shop without order lines."""
    shop = Shop(database)
    await shop.items.insert(shop.item)
    await shop.customers.insert(shop.customer)
    return shop


@pytest.fixture
def store(database: Database) -> Store:
    """Return the empty store of items."""
    return Shop(database).items


async def insert_all(store: Store, rows: Sequence[Row]) -> None:
    for row in rows:
        await store.insert(row)


async def read(store: Store, row_id: UUID) -> Any:
    return json.loads((await store.get(row_id)).body)


async def page(
    store: Store,
    limit: int = 100,
    after: UUID | None = None,
    expand: Sequence[str] = (),
    **filters: Any,
) -> tuple[list[Any], UUID | None]:
    found = json.loads(await store.page(limit, after, filters, expand))
    assert list(found) == ["items", "next"]
    return found["items"], found["next"] and UUID(found["next"])


async def names(
    store: Store, limit: int = 100, after: UUID | None = None, **filters: Any
) -> tuple[list[str], UUID | None]:
    """Return a distinct value of each row of a page, and the next cursor."""
    rows, cursor = await page(store, limit, after, **filters)
    return [row.get("name") or row["number"] for row in rows], cursor


async def exported(store: Store) -> list[Any]:
    chunks = [chunk async for chunk in store.export()]
    return [json.loads(line) for line in b"".join(chunks).splitlines()]


def field_of(error: Any) -> Any:
    """Return the field that the service's response names."""
    assert isinstance(error, ServiceError)
    return error.members["field"]


def places_of(error: Any) -> Any:
    """Return the locations in the body that the service's response names."""
    assert isinstance(error, ServiceError)
    return [each["loc"] for each in error.members["errors"]]


async def test_a_row_with_all_kinds_of_values_comes_back_as_it_was_inserted(shop: Shop) -> None:
    row = shop.line("full", **FULL, buyer_id=shop.customer["id"])
    await shop.order_lines.insert(row)
    assert await read(shop.order_lines, row["id"]) == as_json(row)


async def test_a_row_without_optional_values_comes_back_with_nulls(shop: Shop) -> None:
    row = shop.line("empty")
    await shop.order_lines.insert(row)
    assert await read(shop.order_lines, row["id"]) == as_json(row)


@pytest.mark.parametrize("values", [FULL, {}, {"weight": -0.0}, {"weight": 5.0}])
async def test_an_insert_and_every_later_read_return_the_same_bytes(
    shop: Shop, values: dict[str, Any]
) -> None:
    row = shop.line("the same", **values)
    inserted = await shop.order_lines.insert(row)
    found = await shop.order_lines.get(row["id"])
    changed = await shop.order_lines.update(row["id"], values, CREATED_AT)
    assert inserted.body == found.body == changed.body
    assert inserted.etag == found.etag == changed.etag == document_of(found.body).etag
    assert await shop.order_lines.page(1, None, {}, ()) == b'{"items":[%s],"next":null}' % found.body
    assert [chunk async for chunk in shop.order_lines.export()] == [found.body + b"\n"]


async def test_the_fields_come_in_the_order_of_the_model(shop: Shop) -> None:
    row = shop.line("a")
    document = await shop.order_lines.insert(row)
    assert list(json.loads(document.body)) == list(row)
    assert list(await read(shop.order_lines, row["id"])) == list(row)


async def test_every_kind_of_text_survives(store: Store) -> None:
    row = item(EVERY_KIND_OF_TEXT, description=EVERY_KIND_OF_TEXT, tags=EVERY_KIND_OF_TAG)
    document = await store.insert(row)
    assert document == await store.get(row["id"])
    assert json.loads(document.body) == as_json(row)
    for tag in EVERY_KIND_OF_TAG:
        assert (await names(store, tags=tag))[0] == [EVERY_KIND_OF_TEXT]


async def test_floats_are_exact(shop: Shop) -> None:
    rows = [shop.line(str(number), weight=weight) for number, weight in enumerate(FLOATS)]
    await shop.order_lines.insert_many(rows)
    assert [row["weight"] for row in (await page(shop.order_lines))[0]] == FLOATS[::-1]


async def test_decimals_are_exact_and_have_all_places(shop: Shop) -> None:
    rows = [shop.line(price, price=Decimal(price)) for price in DECIMALS]
    await shop.order_lines.insert_many(rows)
    assert [row["price"] for row in (await page(shop.order_lines))[0]] == DECIMALS[::-1]


@pytest.mark.parametrize("value", EVERY_KIND_OF_JSON)
async def test_any_json_survives(shop: Shop, value: Any) -> None:
    row = shop.line("a", extra=value)
    await shop.order_lines.insert(row)
    found = (await read(shop.order_lines, row["id"]))["extra"]
    assert json.dumps(found) == json.dumps(value)


async def test_a_time_without_a_fraction_has_none(store: Store) -> None:
    row = item("a", created_at=CREATED_AT.replace(microsecond=0))
    await store.insert(row)
    assert b'"created_at":"2026-01-02T03:04:05Z"' in (await store.get(row["id"])).body


async def test_the_entity_tag_changes_with_the_row_only(store: Store) -> None:
    row = item("a")
    await store.insert(row)
    first, again = await store.get(row["id"]), await store.get(row["id"])
    changed = await store.update(row["id"], {"price_cents": 1}, LATER)
    assert first.etag == again.etag != changed.etag


async def test_a_missing_row_is_not_found(shop: Shop) -> None:
    missing = uuid7()
    store = shop.order_lines
    for attempt in (
        store.get(missing),
        store.get_expanded(missing, ["item"]),
        store.update(missing, {"number": "a"}, LATER),
        store.update(missing, {"number": "a"}, LATER, '"a"'),
        store.delete(missing),
        store.delete(missing, '"a"'),
    ):
        with pytest.raises(NotFound, match=f"No order line has the id {missing}"):
            await attempt


async def test_a_unique_value_is_taken_once(store: Store) -> None:
    await store.insert(item("taken"))
    with pytest.raises(Taken, match="The name 'taken' is taken") as refusal:
        await store.insert(item("taken"))
    assert field_of(refusal.value) == "name"
    await store.insert(item("Taken"))


async def test_the_field_with_the_taken_value_is_named(shop: Shop) -> None:
    token = uuid4()
    row = shop.line("b")
    await insert_all(shop.order_lines, [shop.line("a", token=token), row])
    for attempt in (
        shop.order_lines.insert(shop.line("c", token=token)),
        shop.order_lines.insert_many([shop.line("d"), shop.line("e", token=token)]),
        shop.order_lines.update(row["id"], {"number": "f", "token": token}, LATER),
    ):
        with pytest.raises(Taken, match=str(token)) as refusal:
            await attempt
        assert field_of(refusal.value) == "token"


async def test_many_rows_may_have_no_value_where_values_are_unique(shop: Shop) -> None:
    await insert_all(shop.order_lines, [shop.line(number, token=None) for number in "ab"])
    assert (await names(shop.order_lines))[0] == ["b", "a"]


async def test_only_one_of_two_concurrent_inserts_of_a_name_succeeds(store: Store) -> None:
    outcomes = await asyncio.gather(*(store.insert(item("a")) for _ in range(2)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Document", "Taken"]


async def test_a_failed_insert_among_many_fails_alone(store: Store) -> None:
    await store.insert(item("taken"))
    rows = [item("a"), item("taken"), item("b")]
    outcomes = await asyncio.gather(*(store.insert(row) for row in rows), return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["Document", "Taken", "Document"]
    assert sorted((await names(store))[0]) == ["a", "b", "taken"]


async def test_a_batch_is_inserted_completely(shop: Shop) -> None:
    rows = [shop.line(f"n{number}", **{**FULL, "token": None}) for number in range(100)]
    await shop.order_lines.insert_many(rows)
    assert await exported(shop.order_lines) == [as_json(row) for row in reversed(rows)]


async def test_a_batch_with_a_taken_name_inserts_nothing(store: Store) -> None:
    await store.insert(item("taken"))
    with pytest.raises(Taken, match="'taken'") as refusal:
        await store.insert_many([item("a"), item("taken"), item("b")])
    assert field_of(refusal.value) == "name"
    assert (await names(store))[0] == ["taken"]


async def test_a_reference_to_nothing_is_refused_at_its_field(shop: Shop) -> None:
    row, missing = shop.line("a"), uuid7()
    await shop.order_lines.insert(row)
    for attempt in (
        shop.order_lines.insert(shop.line("b", buyer_id=missing)),
        shop.order_lines.update(row["id"], {"buyer_id": missing, "number": "c"}, LATER),
    ):
        with pytest.raises(MissingReference, match=f"No customer has the id {missing}") as refusal:
            await attempt
        assert places_of(refusal.value) == [["body", "buyer_id"]]
    assert await exported(shop.order_lines) == [as_json(row)]


async def test_a_batch_with_a_reference_to_nothing_inserts_nothing_and_names_its_place(shop: Shop) -> None:
    rows = [shop.line("a"), shop.line("b", parent_id=uuid7()), shop.line("c")]
    with pytest.raises(MissingReference, match="No order line has the id") as refusal:
        await shop.order_lines.insert_many(rows)
    assert places_of(refusal.value) == [["body", 1, "parent_id"]]
    assert await exported(shop.order_lines) == []


async def test_a_change_keeps_the_other_fields(store: Store) -> None:
    row = item("a", description="d", tags=["x"])
    await store.insert(row)
    document = await store.update(row["id"], {"price_cents": 7}, LATER)
    expected = as_json({**row, "price_cents": 7, "updated_at": LATER})
    assert json.loads(document.body) == await read(store, row["id"]) == expected


async def test_every_field_can_be_changed_at_once(shop: Shop) -> None:
    row, other = shop.line("a"), item("another")
    await shop.order_lines.insert(row)
    await shop.items.insert(other)
    changes = {**FULL, "number": "b", "item_id": other["id"], "buyer_id": shop.customer["id"]}
    document = await shop.order_lines.update(row["id"], changes, LATER)
    assert json.loads(document.body) == as_json({**row, **changes, "updated_at": LATER})
    nothing = {name: row[name] for name in ("weight", "due", "paid_at", "token", "note", "extra", "buyer_id")}
    document = await shop.order_lines.update(row["id"], nothing, LATER)
    assert json.loads(document.body) == as_json({**row, **changes, **nothing, "updated_at": LATER})


async def test_a_change_to_a_taken_name_changes_nothing(store: Store) -> None:
    row = item("a")
    await insert_all(store, [row, item("taken")])
    with pytest.raises(Taken, match="'taken'") as refusal:
        await store.update(row["id"], {"name": "taken", "price_cents": 7}, LATER)
    assert field_of(refusal.value) == "name"
    assert await read(store, row["id"]) == as_json(row)


async def test_a_change_to_the_current_value_is_not_a_conflict(store: Store) -> None:
    row = item("a")
    await store.insert(row)
    await store.update(row["id"], {"name": "a"}, CREATED_AT)
    assert await read(store, row["id"]) == as_json(row)


async def test_concurrent_changes_of_one_row_all_take_effect(store: Store) -> None:
    row = item("a")
    await store.insert(row)
    await asyncio.gather(
        store.update(row["id"], {"name": "b"}, LATER),
        store.update(row["id"], {"price_cents": 7}, LATER),
        store.update(row["id"], {"tags": ["x"]}, LATER),
    )
    changed = {**row, "name": "b", "price_cents": 7, "tags": ["x"], "updated_at": LATER}
    assert await read(store, row["id"]) == as_json(changed)


async def test_a_change_is_made_if_the_row_has_one_of_the_entity_tags(shop: Shop) -> None:
    row = shop.line("a", **FULL)
    etag = (await shop.order_lines.insert(row)).etag
    for if_match in ("*", '"other", {}', "{}"):
        given = if_match.format(etag)
        etag = (await shop.order_lines.update(row["id"], {"quantity": 2}, LATER, given)).etag
    assert (await read(shop.order_lines, row["id"]))["quantity"] == 2
    await shop.order_lines.delete(row["id"], etag)
    assert await exported(shop.order_lines) == []


async def test_a_row_with_another_entity_tag_is_neither_changed_nor_removed(shop: Shop) -> None:
    row = shop.line("a", **FULL)
    old = (await shop.order_lines.insert(row)).etag
    new = (await shop.order_lines.update(row["id"], {"quantity": 2}, LATER)).etag
    for if_match in (old, f"W/{new}", '"other"', ""):
        with pytest.raises(PreconditionFailed):
            await shop.order_lines.update(row["id"], {"quantity": 3}, LATER, if_match)
        with pytest.raises(PreconditionFailed):
            await shop.order_lines.delete(row["id"], if_match)
    assert (await shop.order_lines.get(row["id"])).etag == new


async def test_only_one_of_several_concurrent_changes_with_an_entity_tag_succeeds(store: Store) -> None:
    row = item("a")
    etag = (await store.insert(row)).etag
    changes = (store.update(row["id"], {"price_cents": cents}, LATER, etag) for cents in range(10))
    outcomes = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Document"] + 9 * ["PreconditionFailed"]


async def test_no_changes_with_an_entity_tag_leave_the_row_as_it_is(store: Store) -> None:
    row = item("a")
    inserted = await store.insert(row)
    assert await store.update(row["id"], {}, LATER, inserted.etag) == inserted
    with pytest.raises(PreconditionFailed):
        await store.update(row["id"], {}, LATER, '"other"')
    assert await store.get(row["id"]) == inserted


async def test_a_deleted_row_is_gone_and_its_name_free(store: Store) -> None:
    row = item("a", tags=["x"])
    await store.insert(row)
    await store.delete(row["id"])
    with pytest.raises(NotFound):
        await store.get(row["id"])
    assert await names(store, tags="x") == ([], None)
    assert (await store.summary())["tags"] == []
    await store.insert(item("a"))


async def test_a_row_that_others_refer_to_cannot_be_deleted(shop: Shop) -> None:
    row = shop.line("a")
    await shop.order_lines.insert(row)
    with pytest.raises(Referenced, match=r"item.*order line"):
        await shop.items.delete(shop.item["id"])
    assert (await names(shop.items))[0] == ["the item"]
    await shop.order_lines.delete(row["id"])
    await shop.items.delete(shop.item["id"])


async def test_rows_that_belong_to_a_deleted_one_are_deleted_and_caches_notified(shop: Shop) -> None:
    other = customer("other@customer")
    await shop.customers.insert(other)
    top = shop.line("top", keeper_id=other["id"])
    middle = shop.line("middle", parent_id=top["id"])
    leaf = shop.line("leaf", parent_id=middle["id"])
    await insert_all(shop.order_lines, [top, middle, leaf, shop.line("kept")])
    await shop.customers.delete(other["id"])
    assert (await names(shop.order_lines))[0] == ["kept"]
    gone = {("order_lines", row["id"]) for row in (top, middle, leaf)}
    assert gone <= set(shop.told) <= gone | {("customers", other["id"])}


async def test_a_reference_to_a_deleted_row_becomes_null_and_caches_are_notified(shop: Shop) -> None:
    other = customer("other@customer")
    await shop.customers.insert(other)
    row = shop.line("a", buyer_id=other["id"])
    await insert_all(shop.order_lines, [row, shop.line("b")])
    await shop.customers.delete(other["id"])
    assert (await read(shop.order_lines, row["id"]))["buyer_id"] is None
    assert ("order_lines", row["id"]) in shop.told
    assert {table_and_id for table_and_id in shop.told if table_and_id[0] == "order_lines"} == {
        ("order_lines", row["id"])
    }


async def test_a_refused_delete_deletes_nothing_else_and_notifies_no_cache(shop: Shop) -> None:
    row = shop.line("a", buyer_id=shop.customer["id"])
    etag = (await shop.order_lines.insert(row)).etag
    with pytest.raises(Referenced):
        await shop.items.delete(shop.item["id"])
    with pytest.raises(PreconditionFailed):
        await shop.customers.delete(shop.customer["id"], '"other"')
    assert (await shop.order_lines.get(row["id"])).etag == etag
    assert shop.told == []


@pytest.fixture
async def family(shop: Shop) -> list[tuple[str, UUID]]:
    """Return what goes or changes with a customer, the customer first, beside lines that stay as they are."""
    other = customer("other@customer")
    await shop.customers.insert(other)
    top = shop.line("top", keeper_id=other["id"])
    middle = shop.line("middle", parent_id=top["id"])
    bought = shop.line("bought", buyer_id=other["id"])
    await insert_all(shop.order_lines, [top, middle, bought, shop.line("kept")])
    return [("customers", other["id"]), *(("order_lines", row["id"]) for row in (top, middle, bought))]


async def test_a_delete_in_a_transaction_cascades_and_caches_are_notified_after_the_commit(
    shop: Shop, family: list[tuple[str, UUID]]
) -> None:
    gate = Gate()
    work = doing(deletes("customers", family[0][1]), gate)
    deleted = asyncio.create_task(shop.database.transact(work))
    await gate.is_reached()
    assert (await names(shop.order_lines))[0] == ["kept", "bought", "middle", "top"]
    assert shop.told == []
    gate.open()
    await deleted
    assert (await names(shop.order_lines))[0] == ["kept", "bought"]
    assert (await read(shop.order_lines, family[-1][1]))["buyer_id"] is None
    assert set(shop.told) == set(family)


async def test_a_delete_is_undone_with_its_transaction(shop: Shop, family: list[tuple[str, UUID]]) -> None:
    work = doing(deletes("customers", family[0][1]), error=KeyError("a mistake"))
    with pytest.raises(KeyError):
        await shop.database.transact(work)
    assert (await names(shop.order_lines))[0] == ["kept", "bought", "middle", "top"]
    assert (await read(shop.order_lines, family[-1][1]))["buyer_id"] == str(family[0][1])


async def test_a_delete_that_is_refused_undoes_its_transaction(shop: Shop) -> None:
    free = item("free")
    await shop.items.insert(free)
    await shop.order_lines.insert(shop.line("a"))
    with pytest.raises(Referenced, match=r"item.*order line"):
        await shop.database.transact(doing(deletes("items", free["id"], shop.item["id"])))
    with pytest.raises(NotFound, match="No item has the id"):
        await shop.database.transact(doing(deletes("items", free["id"], uuid7())))
    assert (await names(shop.items))[0] == ["free", "the item"]


async def test_a_transaction_may_go_on_after_a_delete_that_is_refused(shop: Shop) -> None:
    free = item("free")
    await shop.items.insert(free)
    await shop.order_lines.insert(shop.line("a"))
    work = deleting_what_can_go(RESOURCE["items"].table, [shop.item["id"], free["id"]])
    assert await shop.database.transact(work) == 1
    assert (await names(shop.items))[0] == ["the item"]
    assert ("items", free["id"]) in shop.told


async def test_deletes_in_many_transactions_at_once_are_all_or_nothing_each(shop: Shop) -> None:
    await shop.order_lines.insert(shop.line("a"))
    free = [item(f"free {number}") for number in range(20)]
    await shop.items.insert_many(free)
    # Every other one would delete the item of the order line, too.
    works = [[row["id"], *([shop.item["id"]] if place % 2 else [])] for place, row in enumerate(free)]
    deleting = (shop.database.transact(doing(deletes("items", *row_ids)), **RETRIES) for row_ids in works)
    outcomes = await asyncio.gather(*deleting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [list, Referenced] * 10
    left = [row["name"] for place, row in enumerate(free) if place % 2]
    assert (await names(shop.items))[0] == [*left[::-1], "the item"]


async def test_an_insert_in_a_transaction_is_seen_after_the_commit_as_it_was_returned(shop: Shop) -> None:
    gate, row = Gate(), shop.line("new", **FULL)
    inserting = asyncio.create_task(shop.database.transact(doing(inserts("order_lines", row), gate)))
    await gate.is_reached()
    assert (await names(shop.order_lines))[0] == []
    gate.open()
    (document,) = await inserting
    assert await shop.order_lines.get(row["id"]) == document
    assert json.loads(document.body) == as_json(row)


async def test_an_insert_is_undone_with_its_transaction(shop: Shop) -> None:
    work = doing(inserts("items", item("new")), error=KeyError("a mistake"))
    with pytest.raises(KeyError):
        await shop.database.transact(work)
    assert (await names(shop.items))[0] == ["the item"]


async def test_an_insert_that_is_refused_undoes_its_transaction(shop: Shop) -> None:
    new, lost = inserts("items", item("new")), shop.line("a", item_id=uuid7())
    with pytest.raises(Taken, match="the item"):
        await shop.database.transact(doing([*new, *inserts("items", item("the item"))]))
    with pytest.raises(MissingReference, match="item_id"):
        await shop.database.transact(doing([*new, *inserts("order_lines", lost)]))
    assert (await names(shop.items))[0] == ["the item"]


async def test_rows_that_refer_to_each_other_are_inserted_together(shop: Shop) -> None:
    made, buyer = item("new"), customer("new@customer")
    line = shop.line("new", item_id=made["id"], buyer_id=buyer["id"])
    steps = [*inserts("items", made), *inserts("customers", buyer), *inserts("order_lines", line)]
    await shop.database.transact(doing([*steps, *deletes("customers", buyer["id"])]))
    assert (await read(shop.order_lines, line["id"]))["item_id"] == str(made["id"])
    assert (await read(shop.order_lines, line["id"]))["buyer_id"] is None


async def test_pages_go_from_the_newest_to_the_oldest(store: Store) -> None:
    await insert_all(store, [item(name) for name in "abcde"])
    first, cursor = await names(store, 2)
    second, cursor = await names(store, 2, cursor)
    third, end = await names(store, 2, cursor)
    assert (first, second, third, end) == (["e", "d"], ["c", "b"], ["a"], None)


async def test_a_page_that_ends_with_the_last_row_has_no_next(store: Store) -> None:
    await insert_all(store, [item("a"), item("b")])
    assert await names(store, 2) == (["b", "a"], None)


async def test_rows_created_between_pages_do_not_shift_them(store: Store) -> None:
    await insert_all(store, [item(name) for name in "abcd"])
    _, cursor = await names(store, 2)
    await store.insert(item("new"))
    assert (await names(store, 2, cursor))[0] == ["b", "a"]


async def test_pages_can_be_limited_by_an_element_of_a_list(store: Store) -> None:
    rows = [item("a", tags=["x"]), item("b", tags=["y"]), item("c", tags=["y", "x"]), item("d", tags=["x"])]
    await insert_all(store, rows)
    first, cursor = await names(store, 2, tags="x")
    assert (first, await names(store, 2, cursor, tags="x")) == (["d", "c"], (["a"], None))


async def test_a_changed_element_is_found_and_the_old_one_is_not(store: Store) -> None:
    row = item("a", tags=["old", "kept"])
    await store.insert(row)
    await store.update(row["id"], {"tags": ["new", "kept"]}, LATER)
    found = {tag: (await names(store, 1, tags=tag))[0] for tag in ("old", "kept", "new")}
    assert found == {"old": [], "kept": ["a"], "new": ["a"]}


@pytest.mark.parametrize(
    ("field", "value", "other"),
    [
        ("price", Decimal("2.50"), Decimal("2.51")),
        ("status", "paid", "shipped"),
        ("due", date(2026, 1, 1), date(2026, 1, 2)),
        ("paid_at", LATER, CREATED_AT),
        ("links", UUID(int=3), UUID(int=4)),
        ("count_of", 0, 2**53 - 1),
    ],
)
async def test_pages_can_be_limited_to_a_value_of_any_kind(
    shop: Shop, field: str, value: Any, other: Any
) -> None:
    is_list = field == "links"
    values = [value, other, value, value]
    rows = [
        shop.line(number, **{field: [each] if is_list else each})
        for number, each in zip("abcd", values, strict=True)
    ]
    await insert_all(shop.order_lines, [*rows, shop.line("none")])
    first, cursor = await names(shop.order_lines, 2, **{field: value})
    assert (first, await names(shop.order_lines, 2, cursor, **{field: value})) == (["d", "c"], (["a"], None))
    await shop.order_lines.update(rows[0]["id"], {field: rows[1][field]}, LATER)
    assert (await names(shop.order_lines, **{field: other}))[0] == ["b", "a"]


async def test_pages_can_be_limited_to_a_boolean(shop: Shop) -> None:
    await shop.customers.insert(customer("vip@customer", vip=True))
    found = {vip: [row["email"] for row in (await page(shop.customers, vip=vip))[0]] for vip in (False, True)}
    assert found == {False: ["the@customer"], True: ["vip@customer"]}


async def test_pages_can_be_limited_to_rows_that_refer_to_a_row(shop: Shop) -> None:
    other = item("other")
    await shop.items.insert(other)
    rows = [shop.line("a"), shop.line("b", item_id=other["id"]), shop.line("c")]
    await insert_all(shop.order_lines, rows)
    assert (await names(shop.order_lines, item_id=shop.item["id"]))[0] == ["c", "a"]


async def test_a_row_must_match_all_filters(shop: Shop) -> None:
    both = {"links": [UUID(int=1), UUID(int=2)], "status": "paid", "due": date(2026, 1, 1)}
    rows = [
        shop.line("a", **both),
        shop.line("b", **{**both, "status": "open"}),
        shop.line("c", **{**both, "links": [UUID(int=2)]}),
        shop.line("d", **both),
        shop.line("e", **both),
    ]
    await insert_all(shop.order_lines, rows)
    given: dict[str, Any] = {"status": "paid", "links": UUID(int=1), "due": date(2026, 1, 1)}
    first, cursor = await names(shop.order_lines, 2, **given)
    assert (first, await names(shop.order_lines, 2, cursor, **given)) == (["e", "d"], (["a"], None))
    assert (await names(shop.order_lines, status="paid", due=date(2026, 1, 1)))[0] == ["e", "d", "c", "a"]
    assert await names(shop.order_lines, status="shipped", due=date(2026, 1, 1)) == ([], None)


async def test_rows_come_with_the_rows_that_they_refer_to(shop: Shop) -> None:
    top = shop.line("top", **FULL)
    row = shop.line("a", parent_id=top["id"], buyer_id=shop.customer["id"])
    await insert_all(shop.order_lines, [top, row])
    expanded = {"item": shop.item, "buyer": shop.customer, "keeper": shop.customer, "parent": top}
    document = await shop.order_lines.get_expanded(row["id"], list(expanded))
    assert json.loads(document.body) == as_json({**row, **expanded})
    assert document.etag == document_of(document.body).etag
    alone = await shop.order_lines.get_expanded(row["id"], ["item"])
    assert json.loads(alone.body) == as_json({**row, "item": shop.item})


async def test_a_reference_that_is_null_expands_to_null(shop: Shop) -> None:
    row = shop.line("a")
    await shop.order_lines.insert(row)
    document = await shop.order_lines.get_expanded(row["id"], ["buyer", "parent"])
    assert json.loads(document.body) == as_json({**row, "buyer": None, "parent": None})


@pytest.mark.parametrize(
    "filters", [{}, {"status": "open"}, {"links": UUID(int=1)}, {"status": "open", "links": UUID(int=1)}]
)
async def test_pages_come_with_the_rows_that_they_refer_to(shop: Shop, filters: dict[str, Any]) -> None:
    top = shop.line("top", links=[UUID(int=1)])
    row = shop.line("a", parent_id=top["id"], links=[UUID(int=1)])
    await insert_all(shop.order_lines, [top, row])
    found, _ = await page(shop.order_lines, expand=["parent", "item"], **filters)
    assert found == as_json(
        [
            {**row, "parent": top, "item": shop.item},
            {**top, "parent": None, "item": shop.item},
        ]
    )


async def test_an_expanded_row_is_serialized_like_a_single_one(shop: Shop) -> None:
    top = shop.line("top", **FULL)
    row = shop.line("a", parent_id=top["id"])
    await insert_all(shop.order_lines, [top, row])
    whole = (await shop.order_lines.get_expanded(row["id"], ["parent"])).body
    assert (await shop.order_lines.get(row["id"])).body[:-1] in whole
    assert b'"parent":' + (await shop.order_lines.get(top["id"])).body in whole


async def test_an_export_of_nothing_is_empty(store: Store) -> None:
    assert await exported(store) == []


async def test_an_export_longer_than_a_chunk_has_every_row_once(store: Store) -> None:
    rows = [item(f"n{number}") for number in range(1_001)]
    await store.insert_many(rows[:501])
    await store.insert_many(rows[501:])
    assert [found["id"] for found in await exported(store)] == [str(row["id"]) for row in reversed(rows)]


async def test_figures_of_no_rows_are_null(shop: Shop) -> None:
    unknown = {"min": None, "max": None, "mean": None}
    assert await shop.order_lines.summary() == {
        "count": 0,
        "quantity": unknown,
        "weight": unknown,
        "price": unknown,
        "status": [],
        "gift": [],
        "codes": [],
        "links": [],
        "count_of": unknown,
    }


async def test_numbers_are_summed_up(store: Store) -> None:
    cents = [1, 2, 2**53 - 1]
    await store.insert_many([item(str(number), price_cents=number) for number in cents])
    summary = await store.summary()
    figures = summary["price_cents"]
    assert (summary["count"], figures["min"], figures["max"]) == (3, 1, 2**53 - 1)
    assert figures["mean"] == pytest.approx((2**53 + 2) / 3)


async def test_decimals_are_summed_up_exactly_and_their_mean_is_rounded_half_up(shop: Shop) -> None:
    for number, price in enumerate(["9999999999.99", "9999999999.98", "0.03", "0.00"]):
        await shop.order_lines.insert(shop.line(str(number), price=Decimal(price)))
    assert (await shop.order_lines.summary())["price"] == {
        "min": "0.00",
        "max": "9999999999.99",
        "mean": "5000000000.00",
    }
    await shop.order_lines.insert(shop.line("last", price=Decimal("0.02")))
    assert (await shop.order_lines.summary())["price"]["mean"] == "4000000000.00"


async def test_a_mean_midway_between_two_decimals_is_the_upper_one(shop: Shop) -> None:
    await insert_all(shop.order_lines, [shop.line(price, price=Decimal(price)) for price in ("0.00", "0.05")])
    assert (await shop.order_lines.summary())["price"]["mean"] == "0.03"


async def test_rows_without_a_number_do_not_count_in_its_figures(shop: Shop) -> None:
    rows = [shop.line(str(number), weight=weight) for number, weight in enumerate((0.5, None, 1.5))]
    await insert_all(shop.order_lines, rows)
    summary = await shop.order_lines.summary()
    assert (summary["count"], summary["weight"]) == (3, {"min": 0.5, "max": 1.5, "mean": 1.0})


async def test_the_elements_used_most_come_first_and_equals_in_their_order(store: Store) -> None:
    rows = [item("1", tags=["b", "a"]), item("2", tags=["b", "Z"]), item("3", tags=["c", "c", "é"])]
    await insert_all(store, rows)
    found = [(each["value"], each["count"]) for each in (await store.summary())["tags"]]
    assert found == [("b", 2), ("Z", 1), ("a", 1), ("c", 1), ("é", 1)]


async def test_no_more_than_ten_elements_are_counted(store: Store) -> None:
    await store.insert(item("a", tags=[f"t{number:02}" for number in range(20)]))
    found = [each["value"] for each in (await store.summary())["tags"]]
    assert found == [f"t{number:02}" for number in range(10)]


async def test_words_booleans_and_lists_of_any_kind_are_counted(shop: Shop) -> None:
    rows = [
        shop.line("1", status="paid", gift=True, codes=[10, 9], links=[UUID(int=2)]),
        shop.line("2", status="open", codes=[9, 9], links=[UUID(int=1), UUID(int=2)]),
        shop.line("3", status="paid", codes=[-1]),
    ]
    await insert_all(shop.order_lines, rows)
    summary = await shop.order_lines.summary()
    counted = {
        name: [(as_json(each["value"]), each["count"]) for each in summary[name]]
        for name in ("status", "gift", "codes", "links")
    }
    assert counted == {
        "status": [("paid", 2), ("open", 1)],
        "gift": [(False, 2), (True, 1)],
        "codes": [(9, 2), (-1, 1), (10, 1)],
        "links": [(str(UUID(int=2)), 2), (str(UUID(int=1)), 1)],
    }


async def test_a_ping_of_a_running_database_returns(database: Database) -> None:
    await database.ping()

"""What `app.items.store.ItemStore` promises, shown on the real database."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from app.forge.errors import NameTaken, NotFound
from app.items.store import ItemRow, ItemStore

CREATED_AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
LATER = CREATED_AT + timedelta(days=1)
EVERY_KIND_OF_TEXT = "".join(map(chr, [*range(1, 0x80), 0xE9, 0x2028, 0xFFFD, 0x1F600]))
# As tags, which have up to 50 characters.
EVERY_KIND_OF_TAG = [
    EVERY_KIND_OF_TEXT[start : start + 50] for start in range(0, len(EVERY_KIND_OF_TEXT), 50)
]


def item(name: str, **values: Any) -> ItemRow:
    row: ItemRow = {
        "id": uuid7(),
        "name": name,
        "description": None,
        "price_cents": 100,
        "tags": [],
        "created_at": CREATED_AT,
        "updated_at": CREATED_AT,
    }
    return {**row, **values}  # type: ignore[typeddict-item]


def as_json(row: ItemRow) -> dict[str, Any]:
    times = {key: row[key].isoformat().replace("+00:00", "Z") for key in ("created_at", "updated_at")}
    return {**row, **times, "id": str(row["id"])}


async def insert_all(store: ItemStore, rows: Sequence[ItemRow]) -> None:
    for row in rows:
        await store.insert(row)


async def names_on_page(
    store: ItemStore, limit: int, after: UUID | None = None, tag: str | None = None
) -> tuple[list[str], UUID | None]:
    page = json.loads(await store.page(limit, after, tag))
    return [found["name"] for found in page["items"]], page["next"] and UUID(page["next"])


async def exported(store: ItemStore) -> list[dict[str, Any]]:
    chunks = [chunk async for chunk in store.export()]
    return [json.loads(line) for line in b"".join(chunks).splitlines()]


async def test_an_item_comes_back_as_it_was_inserted(store: ItemStore) -> None:
    row = item("a", description="d", price_cents=2**53 - 1, tags=["x", "y", "x"])
    await store.insert(row)
    assert json.loads((await store.get(row["id"])).body) == as_json(row)


async def test_the_fields_come_in_the_order_of_the_model(store: ItemStore) -> None:
    row = item("a")
    await store.insert(row)
    assert list(json.loads((await store.get(row["id"])).body)) == list(row)


async def test_every_kind_of_text_survives(store: ItemStore) -> None:
    row = item(EVERY_KIND_OF_TEXT, description=EVERY_KIND_OF_TEXT, tags=EVERY_KIND_OF_TAG)
    await store.insert(row)
    assert json.loads((await store.get(row["id"])).body) == as_json(row)
    for tag in EVERY_KIND_OF_TAG:
        assert (await names_on_page(store, 10, tag=tag))[0] == [EVERY_KIND_OF_TEXT]


async def test_a_time_without_a_fraction_has_none(store: ItemStore) -> None:
    row = item("a", created_at=CREATED_AT.replace(microsecond=0))
    await store.insert(row)
    assert b'"created_at":"2026-01-02T03:04:05Z"' in (await store.get(row["id"])).body


async def test_the_entity_tag_changes_with_the_item_only(store: ItemStore) -> None:
    row = item("a")
    await store.insert(row)
    first, again = await store.get(row["id"]), await store.get(row["id"])
    changed = await store.update(row["id"], {"price_cents": 1}, LATER)
    assert first.etag == again.etag != changed.etag


async def test_a_missing_item_is_not_found(store: ItemStore) -> None:
    missing = uuid7()
    with pytest.raises(NotFound, match=str(missing)):
        await store.get(missing)
    with pytest.raises(NotFound, match=str(missing)):
        await store.update(missing, {"name": "a"}, LATER)
    with pytest.raises(NotFound, match=str(missing)):
        await store.delete(missing)


async def test_a_name_is_taken_once(store: ItemStore) -> None:
    await store.insert(item("taken"))
    with pytest.raises(NameTaken, match="taken"):
        await store.insert(item("taken"))
    await store.insert(item("Taken"))


async def test_of_two_inserts_of_one_name_at_once_one_succeeds(store: ItemStore) -> None:
    outcomes = await asyncio.gather(*(store.insert(item("a")) for _ in range(2)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NameTaken", "NoneType"]


async def test_a_failed_insert_among_many_fails_alone(store: ItemStore) -> None:
    await store.insert(item("taken"))
    rows = [item("a"), item("taken"), item("b")]
    outcomes = await asyncio.gather(*(store.insert(row) for row in rows), return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["NoneType", "NameTaken", "NoneType"]
    assert sorted((await names_on_page(store, 10))[0]) == ["a", "b", "taken"]


async def test_a_batch_is_inserted_whole(store: ItemStore) -> None:
    rows = [item(f"n{number}", tags=["t"], description="d") for number in range(100)]
    await store.insert_many(rows)
    assert await exported(store) == [as_json(row) for row in reversed(rows)]


async def test_a_batch_with_a_taken_name_inserts_nothing(store: ItemStore) -> None:
    await store.insert(item("taken"))
    with pytest.raises(NameTaken):
        await store.insert_many([item("a"), item("taken"), item("b")])
    assert (await names_on_page(store, 10))[0] == ["taken"]


async def test_a_change_leaves_the_other_fields(store: ItemStore) -> None:
    row = item("a", description="d", tags=["x"])
    await store.insert(row)
    document = await store.update(row["id"], {"price_cents": 7}, LATER)
    expected = as_json({**row, "price_cents": 7, "updated_at": LATER})
    assert json.loads(document.body) == json.loads((await store.get(row["id"])).body) == expected


async def test_every_field_can_be_changed_at_once(store: ItemStore) -> None:
    row = item("a", description="d", tags=["x"])
    await store.insert(row)
    changes = {"name": "b", "description": None, "price_cents": 7, "tags": EVERY_KIND_OF_TAG}
    document = await store.update(row["id"], changes, LATER)  # type: ignore[arg-type]
    assert json.loads(document.body) == as_json({**row, **changes, "updated_at": LATER})  # type: ignore[typeddict-item]


async def test_a_change_to_a_taken_name_changes_nothing(store: ItemStore) -> None:
    row = item("a")
    await insert_all(store, [row, item("taken")])
    with pytest.raises(NameTaken, match="taken"):
        await store.update(row["id"], {"name": "taken", "price_cents": 7}, LATER)
    assert json.loads((await store.get(row["id"])).body) == as_json(row)


async def test_changes_of_one_item_at_once_all_take_effect(store: ItemStore) -> None:
    row = item("a")
    await store.insert(row)
    await asyncio.gather(
        store.update(row["id"], {"name": "b"}, LATER),
        store.update(row["id"], {"price_cents": 7}, LATER),
        store.update(row["id"], {"tags": ["x"]}, LATER),
    )
    changed = {**row, "name": "b", "price_cents": 7, "tags": ["x"], "updated_at": LATER}
    assert json.loads((await store.get(row["id"])).body) == as_json(changed)  # type: ignore[arg-type]


async def test_a_deleted_item_is_gone_and_its_name_free(store: ItemStore) -> None:
    row = item("a", tags=["x"])
    await store.insert(row)
    await store.delete(row["id"])
    with pytest.raises(NotFound):
        await store.get(row["id"])
    assert await names_on_page(store, 10, tag="x") == ([], None)
    assert await store.top_tags(10) == []
    await store.insert(item("a"))


async def test_pages_go_from_the_newest_to_the_oldest(store: ItemStore) -> None:
    await insert_all(store, [item(name) for name in "abcde"])
    first, cursor = await names_on_page(store, 2)
    second, cursor = await names_on_page(store, 2, cursor)
    third, end = await names_on_page(store, 2, cursor)
    assert (first, second, third, end) == (["e", "d"], ["c", "b"], ["a"], None)


async def test_a_page_that_ends_with_the_last_item_has_no_next(store: ItemStore) -> None:
    await insert_all(store, [item("a"), item("b")])
    assert await names_on_page(store, 2) == (["b", "a"], None)


async def test_items_created_meanwhile_do_not_shift_the_pages(store: ItemStore) -> None:
    await insert_all(store, [item(name) for name in "abcd"])
    _, cursor = await names_on_page(store, 2)
    await store.insert(item("new"))
    assert (await names_on_page(store, 2, cursor))[0] == ["b", "a"]


async def test_pages_can_be_limited_to_a_tag(store: ItemStore) -> None:
    rows = [item("a", tags=["x"]), item("b", tags=["y"]), item("c", tags=["y", "x"]), item("d", tags=["x"])]
    await insert_all(store, rows)
    first, cursor = await names_on_page(store, 2, tag="x")
    assert (first, await names_on_page(store, 2, cursor, "x")) == (["d", "c"], (["a"], None))


async def test_a_changed_tag_is_found_and_the_old_one_is_not(store: ItemStore) -> None:
    row = item("a", tags=["old", "kept"])
    await store.insert(row)
    await store.update(row["id"], {"tags": ["new", "kept"]}, LATER)
    found = {tag: (await names_on_page(store, 1, tag=tag))[0] for tag in ("old", "kept", "new")}
    assert found == {"old": [], "kept": ["a"], "new": ["a"]}


async def test_an_export_of_nothing_is_empty(store: ItemStore) -> None:
    assert await exported(store) == []


async def test_an_export_longer_than_a_chunk_has_every_item_once(store: ItemStore) -> None:
    rows = [item(f"n{number}") for number in range(1_001)]
    await store.insert_many(rows[:501])
    await store.insert_many(rows[501:])
    assert [found["id"] for found in await exported(store)] == [str(row["id"]) for row in reversed(rows)]


async def test_prices_of_no_items_are_unknown(store: ItemStore) -> None:
    assert await store.prices() == (0, None, None, None)


async def test_prices_are_summed_up(store: ItemStore) -> None:
    await insert_all(
        store, [item("a", price_cents=1), item("b", price_cents=2), item("c", price_cents=2**53 - 1)]
    )
    items, lowest, highest, mean = await store.prices()
    assert (items, lowest, highest) == (3, 1, 2**53 - 1)
    assert mean == pytest.approx((2**53 + 2) / 3)


async def test_the_tags_used_most_come_first_and_equals_by_name(store: ItemStore) -> None:
    rows = [item("1", tags=["b", "a"]), item("2", tags=["b", "Z"]), item("3", tags=["c", "c", "é"])]
    await insert_all(store, rows)
    assert await store.top_tags(4) == [("b", 2), ("Z", 1), ("a", 1), ("c", 1)]


async def test_a_ping_of_a_database_that_answers_returns(store: ItemStore) -> None:
    await store.ping()

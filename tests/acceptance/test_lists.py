"""Lists, batches, the export and the summary."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.service import ITEMS, MAX_PRICE, Item, Json, Service, body_of, must, must_answer


@pytest.fixture
def tag(service: Service) -> str:
    """A tag that no item has yet."""
    return service.tag()


def _ids(items: list[Item]) -> list[str]:
    return [item["id"] for item in items]


def _created_slowly(service: Service, tag: str, count: int) -> list[Item]:
    """Return items of `tag`, newest first, each of a later millisecond than the one before."""
    items = []
    for _ in range(count):
        items.append(service.create(tags=[tag]))
        time.sleep(0.002)
    return items[::-1]


def test_the_newest_items_come_first_and_twenty_at_a_time(service: Service, tag: str) -> None:
    newest_first = _created_slowly(service, tag, 22)
    first = service.page(tags=tag)
    assert first["items"] == newest_first[:20], "a page has the 20 newest items, newest first, in full"
    assert isinstance(first["next"], str), "a page that is not the last has a cursor of the next"
    second = service.page(tags=tag, after=first["next"])
    assert second == {"items": newest_first[20:], "next": None}, "the last page has the rest and no `next`"
    assert _ids(service.page(limit=3)["items"]) == _ids(newest_first[:3]), (
        "without a tag all items are listed"
    )


@pytest.mark.parametrize("limit", [1, 3, 5, 6, 7, 100])
def test_pages_of_any_size_have_every_item_once(limit: int, service: Service, tag: str) -> None:
    body_of(service.batch([service.draft(tags=[tag]) for _ in range(6)]), 201, "a batch is created")
    pages = list(service.pages(tags=tag, limit=limit))
    assert all(len(page) <= limit for page in pages), "no page is longer than its limit"
    ids = [item_id for page in pages for item_id in _ids(page)]
    assert len(ids) == len(set(ids)) == 6, f"pages of {limit} have every item once, not {len(ids)}"
    assert ids == sorted(ids, reverse=True), "ids of version 7 fall from newest to oldest"


def test_paging_is_not_disturbed_by_new_and_deleted_items(service: Service, tag: str) -> None:
    originals = _created_slowly(service, tag, 9)
    seen: list[Item] = []
    for page in service.pages(tags=tag, limit=2):
        seen += page
        service.create(tags=[tag])
        # The very item that the next page starts after.
        service.delete(page[-1]["id"])
    assert _ids(seen) == _ids(originals), (
        "pages show each item once, whatever is created or deleted in between"
    )


def test_a_tag_is_compared_as_a_whole(service: Service, tag: str) -> None:
    tags = [tag, f"{tag}x", tag.upper(), f"x{tag}", f"{tag},b"]
    items = [service.create(tags=[one, "other"]) for one in tags]
    for one, item in zip(tags, items, strict=True):
        assert _ids(service.tagged(one)) == [item["id"]], (
            f"the tag {one!r} finds the items that have exactly this tag"
        )


@pytest.mark.parametrize(
    "text", ["%", "_", ".*", '"', "\\", "a b", "a&b=c", "+", "é", "e\u0301", "🍕", "[]", "$ne"]
)
def test_a_tag_of_special_characters_finds_its_items_only(text: str, service: Service, tag: str) -> None:
    special = f"{tag}{text}"
    item = service.create(tags=[special])
    service.create(tags=[f"{tag}z"])
    assert _ids(service.tagged(special)) == [item["id"]], f"the tag {special!r} is taken literally"


def test_an_item_with_a_tag_twice_is_listed_once(service: Service, tag: str) -> None:
    created = must_answer(service.post(tags=[tag, tag]), {201, 422}, "a tag given twice does no harm")
    assert len(service.tagged(tag)) == (1 if created.status_code == 201 else 0), "an item is listed once"


def test_a_tag_that_no_item_has_gives_an_empty_page(service: Service, tag: str) -> None:
    assert service.page(tags=tag) == {"items": [], "next": None}


def test_a_changed_item_moves_between_tags(service: Service, tag: str) -> None:
    item = service.create(tags=[tag])
    changed = service.patch(item["id"], tags=[f"{tag}-new"]).json()
    service.within_bound(lambda: service.tagged(tag) == [], "an item leaves the list of a tag that it lost")
    service.within_bound(
        lambda: service.tagged(f"{tag}-new") == [changed], "an item is listed under its new tag"
    )


@pytest.mark.parametrize(
    "limit", ["0", "-1", "101", "1000000000", str(10**30), "x", "1.5", "true", "", "1e1", "%00"]
)
def test_a_limit_outside_1_to_100_returns_422(limit: str, service: Service) -> None:
    must_answer(service.send("GET", f"{ITEMS}?limit={limit}"), 422, f"limit={limit} is refused")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%00",
        "%ED%A0%80",
        "%FF",
        "null",
        "-1",
        "!!!!",
        "e30",
        "W10",
        "bnVsbA==",
        "' OR 1=1 --",
        "a" * 4000,
    ],
)
def test_a_cursor_that_the_service_did_not_make_is_refused(cursor: str, service: Service) -> None:
    answer = service.send("GET", f"{ITEMS}?after={cursor}")
    must_answer(answer, {400, 414, 422}, f"the cursor {cursor[:20]!r} is refused")


def test_a_damaged_cursor_does_no_harm(service: Service, tag: str) -> None:
    service.batch([service.draft(tags=[tag]) for _ in range(3)])
    cursor = service.page(tags=tag, limit=1)["next"]
    for damaged in (cursor[:-1], cursor[1:], cursor[::-1], cursor + "A", cursor.swapcase()):
        answer = service.send("GET", ITEMS, params={"after": damaged})
        must_answer(answer, {200, 400, 422}, "a damaged cursor is refused or understood")


@pytest.mark.parametrize("tag", ["", "%00", "%ED%A0%80", "%FF", "x" * 51, "x" * 5000])
def test_a_tag_that_no_item_can_have_gives_nothing_or_422(tag: str, service: Service) -> None:
    answer = must_answer(
        service.send("GET", f"{ITEMS}?tags={tag}"), {200, 414, 422}, "an impossible tag does no harm"
    )
    if answer.status_code == 200 and tag:
        must(answer.json()["items"] == [], "no item has a tag that is impossible", answer)


# --- Export to clients that take compression: first, while there are few items ------------------


def _export(service: Service, encoding: str = "identity") -> list[Item]:
    answer = service.send("GET", f"{ITEMS}/export", headers={"Accept-Encoding": encoding})
    must_answer(answer, 200, "there is an export")
    media_type = answer.headers["Content-Type"].partition(";")[0]
    must(media_type == "application/x-ndjson", "the export is application/x-ndjson", answer)
    must("Content-Length" not in answer.headers, "the export is streamed", answer)
    return [json.loads(line) for line in answer.content.split(b"\n") if line]


@pytest.mark.parametrize("encoding", ["gzip", "br", "zstd"])
def test_the_export_is_the_same_for_a_client_that_accepts_compression(
    encoding: str, service: Service
) -> None:
    service.create()
    assert _export(service, encoding) == _export(service), (
        f"the export is the same for a client that accepts {encoding}"
    )


# --- Batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_batch_creates_all_its_items(count: int, service: Service, tag: str) -> None:
    drafts = [service.draft(tags=[tag], price_cents=number) for number in range(count)]
    created = body_of(service.batch(drafts), 201, f"a batch of {count} is created")
    assert created == {"created": count}, f"a batch returns the number of items it created: {created}"
    stored = service.tagged(tag)
    assert sorted(item["price_cents"] for item in stored) == list(range(count)), (
        "every item of a batch is stored"
    )
    assert len(set(_ids(stored))) == count, "every item of a batch has a different id"
    one = stored[0]
    assert service.get(one["id"]).json() == one, "an item of a batch can be read"


@pytest.mark.parametrize("count", [0, 1001])
def test_a_batch_of_too_few_or_too_many_returns_422_and_stores_nothing(
    count: int, service: Service, tag: str
) -> None:
    answer = service.batch([service.draft(tags=[tag]) for _ in range(count)])
    must_answer(answer, 422, f"a batch of {count} is refused")
    assert service.tagged(tag) == [], "a refused batch stores nothing"


@pytest.mark.parametrize(
    "document", [None, {}, "x", 5, [None], [5], [[]], [{}], {"items": []}], ids=json.dumps
)
def test_a_batch_that_is_not_a_list_of_items_returns_422(document: Json, service: Service) -> None:
    must_answer(service.batch(document), 422, "a batch is a list of items")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_batch_with_one_bad_item_stores_nothing(position: int, service: Service, tag: str) -> None:
    drafts = [service.draft(tags=[tag]) for _ in range(3)]
    drafts[position]["price_cents"] = -1
    must_answer(service.batch(drafts), 422, "a batch with a bad item is refused")
    assert service.tagged(tag) == [], "a refused batch stores nothing"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_batch_with_a_taken_name_returns_409_and_stores_nothing(
    position: int, service: Service, item: Item, tag: str
) -> None:
    drafts = [service.draft(tags=[tag]) for _ in range(3)]
    drafts[position]["name"] = item["name"]
    must_answer(service.batch(drafts), 409, "a batch with a taken name is refused")
    assert service.tagged(tag) == [], "a refused batch stores nothing"
    del drafts[position]
    must_answer(service.batch(drafts), 201, "the names of a refused batch are free")


def test_a_batch_with_a_name_twice_returns_409_and_stores_nothing(service: Service, tag: str) -> None:
    drafts = [service.draft(tags=[tag]) for _ in range(3)]
    must_answer(service.batch([*drafts, drafts[0]]), 409, "a batch with a name twice is refused")
    assert service.tagged(tag) == [], "a refused batch stores nothing"
    must_answer(service.batch(drafts), 201, "the names of a refused batch are free")


def test_only_one_of_several_concurrent_batches_with_a_shared_name_is_stored(
    service: Service, tag: str
) -> None:
    shared = service.name("shared")
    batches = [[service.draft(tags=[tag]), service.draft(tags=[tag], name=shared)] for _ in range(6)]
    statuses = sorted(answer.status_code for answer in service.many(lambda n: service.batch(batches[n]), 6))
    assert statuses == [201] + [409] * 5, f"of batches that share a name one is stored: {statuses}"
    assert len(service.tagged(tag)) == 2, "each batch is stored in full or not at all"


# --- Export and summary -------------------------------------------------------------------------


def test_the_export_has_every_item_once_and_in_full(service: Service, tag: str) -> None:
    items = [
        service.create(tags=[tag], description=text) for text in ("a\nb", "\u2028\u2029\x85", "🍕", None)
    ]
    exported = _export(service)
    ids = _ids(exported)
    assert len(ids) == len(set(ids)), "the export has no item twice"
    found = {item["id"]: item for item in exported if tag in item["tags"]}
    assert found == {item["id"]: item for item in items}, "an item is exported as it is read"
    counted = f"the export has as many items as the summary counts: {len(ids)}"
    _eventually_in_summary(service, lambda summary: summary["count"] == len(ids), counted)


def _eventually_in_summary(service: Service, holds: Callable[[dict[str, Any]], bool], promise: str) -> None:
    """Fail unless the summary is right: at once, or within the bound if it is marked as cached."""
    cached = "X-Cache" in service.send("GET", f"{ITEMS}/summary").headers
    deadline = time.monotonic() + (service.cache_ttl_seconds if cached else 0)
    while not holds(summary := service.summary()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert holds(summary), f"{promise}; the summary: {summary}"


def test_the_summary_has_the_promised_shape(service: Service) -> None:
    service.create()
    summary = service.summary()
    assert summary.keys() == {"count", "price_cents", "tags"}, f"the summary's fields: {summary}"
    assert summary["price_cents"].keys() == {"min", "max", "mean"}, f"the summary's prices: {summary}"
    assert all(entry.keys() == {"value", "count"} for entry in summary["tags"]), (
        f"the summary's tags: {summary}"
    )
    counts = [entry["count"] for entry in summary["tags"]]
    assert counts == sorted(counts, reverse=True), f"the most used tags come first: {summary}"


def test_the_summary_counts_what_was_created_and_deleted(service: Service) -> None:
    before = service.summary()["count"]
    item = service.create()
    service.batch([service.draft() for _ in range(4)])
    told = "the summary counts new items"
    _eventually_in_summary(service, lambda summary: summary["count"] == before + 5, told)
    service.delete(item["id"])
    told = "the summary does not count deleted items"
    _eventually_in_summary(service, lambda summary: summary["count"] == before + 4, told)


def test_the_summary_has_the_lowest_the_highest_and_the_mean_price(service: Service) -> None:
    service.batch([service.draft(price_cents=price) for price in (0, MAX_PRICE)])
    prices = [item["price_cents"] for item in _export(service)]
    mean = pytest.approx(sum(prices) / len(prices), rel=1e-12)
    expected = {"min": 0, "max": MAX_PRICE, "mean": mean}
    told = f"the summary's prices are {expected}"
    _eventually_in_summary(service, lambda summary: summary["price_cents"] == expected, told)


def test_the_summary_counts_its_tags_right(service: Service, tag: str) -> None:
    most = max((entry["count"] for entry in service.summary()["tags"]), default=0)
    drafts = [service.draft(tags=[tag], price_cents=MAX_PRICE) for _ in range(most + 1)]
    for start in range(0, len(drafts), 1000):
        must_answer(service.batch(drafts[start : start + 1000]), 201, "a batch is created")
    top = {"value": tag, "count": most + 1}
    told = "the most used tag comes first, with its count, also if the sum of the prices exceeds 64 bits"
    _eventually_in_summary(service, lambda summary: summary["tags"][0] == top, told)

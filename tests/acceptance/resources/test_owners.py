"""Owned resources: rows of others do not exist for a caller."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial

import httpx2

from tests.acceptance.resources.cases import FieldCase
from tests.acceptance.resources.grammar import Resource
from tests.acceptance.resources.shop import Row, Rows, Shop, ids, must_blame
from tests.acceptance.service import must, must_answer

Send = Callable[[Rows, str], httpx2.Response]


def attempts(etag: str) -> Iterator[Send]:
    """Yield requests for a row by its id: plain ones, and those of a caller that knows its entity tag."""
    for tag in (None, etag, "*"):
        yield partial(_get, tag)
        yield partial(_patch, tag, False)
        yield partial(_patch, tag, True)
        yield partial(_delete, tag)


def _get(tag: str | None, rows: Rows, row_id: str) -> httpx2.Response:
    return rows.get(row_id, if_none_match=tag)


def _patch(tag: str | None, has_changes: bool, rows: Rows, row_id: str) -> httpx2.Response:
    return rows.patch(row_id, rows.least_draft() if has_changes else {}, if_match=tag)


def _delete(tag: str | None, rows: Rows, row_id: str) -> httpx2.Response:
    return rows.delete(row_id, if_match=tag)


def test_a_row_shows_its_owner(owned: Resource, shop: Shop, others: Shop) -> None:
    first, second, theirs = shop.rows(owned).create(), shop.rows(owned).create(), others.rows(owned).create()
    assert first["owner"] == second["owner"], f"rows of {owned.plural} belong to the callers that create them"
    assert first["owner"] != theirs["owner"], f"rows of {owned.plural} belong to the callers that create them"


def test_an_owner_cannot_be_chosen(owned: Resource, shop: Shop, others: Shop) -> None:
    rows, owner = shop.rows(owned), others.rows(owned).create()["owner"]
    must_blame(rows.post(rows.draft() | {"owner": owner}), ["body", "owner"], "a client chooses no owner")
    row = rows.create()
    must_blame(rows.patch(row["id"], {"owner": owner}), ["body", "owner"], "a row keeps its owner")
    assert rows.read(row["id"]) == row


def test_a_row_of_another_is_answered_like_one_that_does_not_exist(
    owned: Resource, shop: Shop, others: Shop
) -> None:
    rows, theirs = shop.rows(owned), others.rows(owned)
    row = rows.create()
    # In the cache by now, where there is one.
    etag = rows.get(row["id"]).headers["ETag"]
    for send in attempts(etag):
        stranger = str(uuid.uuid4())
        answer, expected = send(theirs, row["id"]), send(theirs, stranger)
        must_answer(answer, 404, f"a row of {owned.plural} exists only for its owner")
        detail = answer.json()["detail"].replace(row["id"], stranger)
        must(detail == expected.json()["detail"], "the answer does not show that it exists", answer)
        must("ETag" not in answer.headers, "the answer has no entity tag", answer)
    assert rows.read(row["id"]) == row, "nothing of it has changed"


def test_a_cached_row_is_not_served_to_another(owned: Resource, shop: Shop, others: Shop) -> None:
    rows, theirs = shop.rows(owned), others.rows(owned)
    row = rows.create()
    for _ in range(3):
        assert rows.read(row["id"]) == row
        must_answer(theirs.get(row["id"]), 404, "a cached row exists only for its owner")


def seen_by(rows: Rows) -> list[Row]:
    """Return all rows that a caller finds in any way, after checking that these agree."""
    listed = rows.walk()
    if rows.resource.has("export"):
        assert ids(rows.exported()) == ids(listed), "the export has the rows of the list"
    if rows.resource.has("summary"):
        assert rows.summary().json()["count"] == len(listed), "the summary counts the rows of the list"
    return listed


def test_lists_exports_and_summaries_have_the_rows_of_the_caller(
    owned: Resource, shop: Shop, others: Shop
) -> None:
    mine, theirs = [shop.rows(owned).create() for _ in range(2)], others.rows(owned).create()
    for rows, owner in ((shop.rows(owned), mine[0]["owner"]), (others.rows(owned), theirs["owner"])):
        assert {row["owner"] for row in seen_by(rows)} == {owner}, f"{owned.plural} of others are not found"


def test_filters_find_no_rows_of_others(owned: Resource, shop: Shop, others: Shop) -> None:
    row = shop.rows(owned).create()
    for field in owned.filters:
        values = row[field.name] if field.is_list else [row[field.name]]
        for value in values:
            query = str(value).lower() if isinstance(value, bool) else str(value)
            found = others.rows(owned).walk({field.name: query})
            assert row["owner"] not in {each["owner"] for each in found}, f"?{field.name}= finds own rows"


def test_a_batch_belongs_to_its_caller(owned: Resource, shop: Shop, others: Shop) -> None:
    if not owned.has("batch"):
        return
    rows, theirs = shop.rows(owned), others.rows(owned)
    owner = rows.create()["owner"]
    must_answer(rows.batch([rows.draft() for _ in range(2)]), 201, "a batch is created")
    assert [row["owner"] for row in rows.page(limit=2)["items"]] == [owner, owner]
    assert owner not in {row["owner"] for row in theirs.walk()}


def test_a_row_of_another_cannot_be_referred_to(owned_reference: FieldCase, shop: Shop, others: Shop) -> None:
    rows, name = shop.rows(owned_reference.resource), owned_reference.field.name
    target = others.of(owned_reference.field.of).create()["id"]
    promise = f"{owned_reference} refers to a row that exists for the caller"
    must_blame(rows.post(rows.draft(**{name: target})), ["body", name], promise)
    must_blame(rows.patch(rows.create()["id"], {name: target}), ["body", name], promise)
    if owned_reference.resource.has("batch"):
        drafts = [rows.draft(), rows.draft(**{name: target})]
        must_blame(rows.batch(drafts), ["body", 1, name], promise)


def test_an_overseer_sees_and_changes_the_rows_of_all(
    owned: Resource, shop: Shop, others: Shop, overseers: Shop
) -> None:
    all_rows = overseers.rows(owned)
    for rows in (shop.rows(owned), others.rows(owned)):
        row = rows.create()
        assert all_rows.read(row["id"]) == row
        assert row["id"] in ids(seen_by(all_rows)), "all rows are listed"
        changed = must_answer(all_rows.patch(row["id"], all_rows.least_draft()), 200, "it can be changed")
        assert changed.json()["owner"] == row["owner"], "it keeps its owner"
        rows.must_show(changed.json())
        must_answer(all_rows.delete(row["id"]), 204, "it can be deleted")
        rows.must_be_gone(row)


def test_a_value_that_another_has_is_taken(owned: Resource, shop: Shop, others: Shop) -> None:
    for field in owned.unique:
        if field.kind != "ref":
            row, theirs = shop.rows(owned).create(), others.rows(owned)
            answer = theirs.post(theirs.draft(**{field.name: row[field.name]}))
            must_answer(answer, 409, f"{field.name} is unique among the rows of all")

"""Batches, exports and summaries of whole resources, and those that are left out."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal

import pytest

from tests.acceptance.resources.cases import EndpointCase, WrongCase
from tests.acceptance.resources.grammar import Field, Resource
from tests.acceptance.resources.shop import Row, Rows, Shop, ids, must_blame
from tests.acceptance.resources.values import Json, in_query, is_kept, written
from tests.acceptance.service import body_of, must, must_answer

MOST = 1_000
TOP = 10


def must_store_nothing(rows: Rows, newest: list[Row]) -> None:
    """Fail if a batch that was refused left rows."""
    assert rows.newest() == newest, "a batch that was refused stores nothing"


@pytest.mark.parametrize("count", [1, 2, 25])
def test_a_batch_creates_its_rows_in_their_order(count: int, shop: Shop, with_batch: Resource) -> None:
    rows = shop.rows(with_batch)
    drafts = [rows.draft() for _ in range(count)]
    answer = rows.batch(drafts)
    created = body_of(answer, 201, f"a batch of {count} is created")
    must(created == {"created": count}, "a batch returns the number of rows it created", answer)
    stored = rows.page(limit=count)["items"]
    for draft, row in zip(drafts, stored[::-1], strict=True):
        kept = [
            field.name for field in with_batch.fields if is_kept(field, draft[field.name], row[field.name])
        ]
        assert kept == list(draft), f"the rows of a batch are stored in their order: {row}"
    assert rows.read(stored[0]["id"]) == stored[0], "a row of a batch can be read"


def test_a_batch_takes_defaults(shop: Shop, with_batch: Resource) -> None:
    rows = shop.rows(with_batch)
    body_of(rows.batch([rows.least_draft()]), 201, "a batch takes what may be left out")
    (row,) = rows.newest()
    left_out = [field for field in with_batch.fields if not field.is_required]
    assert all(is_kept(field, field.default, row[field.name]) for field in left_out), row


@pytest.mark.parametrize("count", [0, MOST + 1])
def test_a_batch_of_too_few_or_too_many_is_refused(count: int, shop: Shop, with_batch: Resource) -> None:
    rows = shop.rows(with_batch)
    newest = rows.newest()
    draft = rows.draft()
    must_blame(rows.batch([draft] * count), ["body"], f"a batch of {count} is refused")
    must_store_nothing(rows, newest)


@pytest.mark.parametrize("document", [None, {}, "x", 5, [None], [[]], [5]], ids=str)
def test_a_batch_is_a_list_of_rows(document: Json, shop: Shop, with_batch: Resource) -> None:
    must_blame(shop.rows(with_batch).batch(document), ["body"], "a batch is a list of rows")


def test_a_wrong_value_in_a_batch_is_refused_at_its_row(shop: Shop, wrong: WrongCase) -> None:
    if not wrong.resource.has("batch"):
        return
    rows, name = shop.rows(wrong.resource), wrong.field.name
    drafts = [rows.least_draft(), rows.least_draft(**{name: wrong.value})]
    must_blame(rows.batch(drafts), ["body", 1, name], f"{wrong} is refused in a batch")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_batch_with_one_bad_row_stores_nothing(position: int, shop: Shop, with_batch: Resource) -> None:
    rows = shop.rows(with_batch)
    newest = rows.newest()
    drafts = [rows.draft() for _ in range(3)]
    drafts[position]["stranger"] = 1
    must_blame(rows.batch(drafts), ["body", position, "stranger"], "a batch with a bad row is refused")
    must_store_nothing(rows, newest)
    del drafts[position]
    must_answer(rows.batch(drafts), 201, "the values of a refused batch are free")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_batch_with_a_reference_to_nothing_stores_nothing(
    position: int, shop: Shop, with_batch: Resource
) -> None:
    rows = shop.rows(with_batch)
    for field in with_batch.references:
        newest = rows.newest()
        drafts = [rows.draft() for _ in range(3)]
        drafts[position][field.name] = str(uuid.uuid4())
        place: list[str | int] = ["body", position, field.name]
        must_blame(rows.batch(drafts), place, f"{field.name} refers to a row that exists")
        must_store_nothing(rows, newest)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_batch_with_a_value_that_is_taken_stores_nothing(
    position: int, shop: Shop, with_batch_and_unique: Resource
) -> None:
    rows = shop.rows(with_batch_and_unique)
    for field in with_batch_and_unique.unique:
        row = rows.create_with(field)
        drafts = [rows.draft() for _ in range(3)]
        newest = rows.newest()
        drafts[position][field.name] = row[field.name]
        answer = must_answer(rows.batch(drafts), 409, f"{field.name} is unique")
        must(answer.json().get("field") == field.name, f"the problem names {field.name}", answer)
        must_store_nothing(rows, newest)


def test_a_batch_with_a_value_twice_stores_nothing(shop: Shop, with_batch_and_unique: Resource) -> None:
    rows = shop.rows(with_batch_and_unique)
    for field in with_batch_and_unique.unique:
        drafts = [rows.draft(**{field.name: rows.value(field)}) for _ in range(3)]
        newest = rows.newest()
        twice = rows.draft(**{field.name: drafts[0][field.name]})
        answer = must_answer(rows.batch([*drafts, twice]), 409, f"{field.name} is unique in a batch")
        must(answer.json().get("field") == field.name, f"the problem names {field.name}", answer)
        must_store_nothing(rows, newest)


# --- Exports and summaries ------------------------------------------------------------------------------


def test_the_export_has_every_row_once_and_in_full(shop: Shop, with_export: Resource) -> None:
    rows = shop.rows(with_export)
    for _ in range(3):
        rows.create()
        rows.create_least()
    exported = rows.exported()
    assert len(set(ids(exported))) == len(exported), "no row is exported twice"
    by_id: list[Row] = sorted(exported, key=lambda row: row["id"], reverse=True)
    assert by_id == rows.walk(), "every row is exported as it is listed"


def test_the_summary_matches_the_rows(shop: Shop, with_summary: Resource) -> None:
    rows = shop.rows(with_summary)
    for _ in range(3):
        rows.create()
        rows.create_least()
    stored = rows.walk()
    answer = rows.summary()
    deadline = time.monotonic() + (shop.service.cache_ttl_seconds if "X-Cache" in answer.headers else 0)
    while (summary := answer.json())["count"] != len(stored) and time.monotonic() < deadline:
        time.sleep(0.1)
        answer = rows.summary()
    must(summary["count"] == len(stored), f"the summary counts {len(stored)} rows", answer)
    counted = [field for field in with_summary.fields if _is_counted(field)]
    measured = [field for field in with_summary.fields if _is_measured(field)]
    names = {"count", *(field.name for field in [*counted, *measured])}
    must(summary.keys() == names, f"the summary has {sorted(names)}", answer)
    for field in measured:
        must(_is_measured_right(field, stored, summary[field.name]), f"{field.name} is measured", answer)
    for field in counted:
        must(_is_counted_right(field, stored, summary[field.name]), f"{field.name} is counted", answer)


def _is_measured(field: Field) -> bool:
    return not field.is_list and field.kind in {"int", "float", "decimal"}


def _is_counted(field: Field) -> bool:
    return field.is_list or field.kind in {"enum", "bool"}


def _is_measured_right(field: Field, stored: list[Row], figures: Row) -> bool:
    values = [Decimal(str(row[field.name])) for row in stored if row[field.name] is not None]
    if not values:
        return figures == dict.fromkeys(("min", "max", "mean"))
    mean = sum(values, Decimal(0)) / len(values)
    if field.kind == "decimal":
        rounded = mean.quantize(Decimal(1).scaleb(-field.places), ROUND_HALF_UP)
        exact = {"min": min(values), "max": max(values), "mean": rounded}
        return figures == {name: written(value, field.places) for name, value in exact.items()}
    ends = {"min": float(min(values)), "max": float(max(values))}
    is_near = figures["mean"] == pytest.approx(float(mean), rel=1e-9, abs=1e-9)
    return figures.keys() == {*ends, "mean"} and ends.items() <= figures.items() and bool(is_near)


def _is_counted_right(field: Field, stored: list[Row], counts: list[Row]) -> bool:
    held = [row[field.name] for row in stored if row[field.name] is not None]
    counter = Counter(in_query(each) for value in held for each in (value if field.is_list else [value]))
    told = [(in_query(each["value"]), each["count"]) for each in counts]
    most = sorted(counter.values(), reverse=True)[:TOP]
    return [count for _, count in told] == most and all(counter[value] == count for value, count in told)


def test_an_endpoint_that_is_left_out_is_not_there(shop: Shop, left_out: EndpointCase) -> None:
    path = f"{left_out.resource.path}/{left_out.endpoint}"
    method = "POST" if left_out.endpoint == "batch" else "GET"
    answer = shop.service.send_json(method, path, [])
    # `export` and `summary` could be ids, which are not well formed.
    must_answer(answer, {404, 405, 422}, f"{left_out} is left out")
    assert path not in shop.service.send("GET", "/openapi.json").json()["paths"]

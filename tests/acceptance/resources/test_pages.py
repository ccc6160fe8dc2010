"""Pages: in order, in full, each row once; narrowed down by each filter, by each two, and by all."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

import pytest

from tests.acceptance.resources.cases import FieldCase, FieldsCase
from tests.acceptance.resources.grammar import Field, Resource
from tests.acceptance.resources.shop import Row, Rows, Shop, ids, must_blame
from tests.acceptance.resources.values import Json, in_query, spellings, valid, wrong_in_query
from tests.acceptance.service import must, must_answer

ROWS = 18
# Of so many values each filter finds some of the rows, and two filters different ones.
VALUES = (2, 3, 4, 5)


@pytest.mark.parametrize("limit", [1, 3, 5, 6, 7])
def test_a_walk_of_any_step_gives_every_row_once_newest_first(
    limit: int, shop: Shop, resource: Resource
) -> None:
    rows = shop.rows(resource)
    created = [rows.create() for _ in range(6)]
    found: list[Row] = []
    after: dict[str, str] = {}
    while len(found) < len(created):
        page = rows.page(limit=limit, **after)
        assert len(page["items"]) <= limit, "no page is longer than its limit"
        found += page["items"]
        after = {"after": page["next"] or ""}
        assert page["next"] or len(found) >= len(created), "the last page is the last"
    assert found[: len(created)] == created[::-1], "the newest rows come first, in full and once"


def test_a_page_has_twenty_rows_unless_asked(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    created = [rows.create_least() for _ in range(21)]
    page = rows.page()
    assert ids(page["items"]) == ids(created[:0:-1]), "a page has 20 rows"
    assert ids(rows.page(after=page["next"], limit=1)["items"]) == [created[0]["id"]]


def test_paging_continues_at_a_deleted_row(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    first, second, third = (rows.create_least() for _ in range(3))
    page = rows.page(limit=1)
    assert ids(page["items"]) == [third["id"]]
    must_answer(rows.delete(third["id"]), 204, "a row can be deleted")
    assert ids(rows.page(limit=2, after=page["next"])["items"]) == [second["id"], first["id"]]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "1.5", "true"])
def test_a_limit_outside_1_to_100_is_refused(limit: str, shop: Shop, resource: Resource) -> None:
    answer = shop.rows(resource).get_page(limit=limit)
    must_blame(answer, ["query", "limit"], f"a limit of {limit} is refused")


@pytest.mark.parametrize("after", ["x", "0" * 31, "null"])
def test_a_cursor_that_the_service_did_not_make_is_refused(
    after: str, shop: Shop, resource: Resource
) -> None:
    must_blame(shop.rows(resource).get_page(after=after), ["query", "after"], f"{after} is not a cursor")


def test_a_page_is_sent_again_only_after_a_change(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    rows.create_least()
    seen = {"If-None-Match": rows.get_page(limit=1).headers["ETag"]}
    page = f"{resource.path}?limit=1"
    must_answer(shop.service.send("GET", page, headers=seen), 304, "the client has the page")
    rows.create_least()
    must_answer(shop.service.send("GET", page, headers=seen), 200, "the page is another")


@pytest.mark.parametrize("ending", ["", "/{id}", "/export", "/summary"])
def test_head_is_get_without_a_body(ending: str, shop: Shop, resource: Resource) -> None:
    path = resource.path + ending.format(id=shop.referred(resource.plural)["id"])
    answer, head = (shop.service.send(method, path) for method in ("GET", "HEAD"))
    must_answer(head, answer.status_code, "HEAD has the status of GET")
    must(head.content == b"", "HEAD has no body", head)
    same = all(head.headers.get(name) == answer.headers.get(name) for name in ("ETag", "Content-Type"))
    must(same, "HEAD has the headers of GET", head)


# --- Filters --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stock:
    """Rows whose filters have few values, and all rows of the resource, newest first."""

    rows: Rows
    created: list[Row]
    all: list[Row]

    def matching(self, values: Mapping[str, Json]) -> list[Row]:
        """Return the rows that all these filters must find."""
        fields = {field.name: field for field in self.rows.resource.filters}
        found = values.items()
        return [row for row in self.all if all(_matches(fields[name], row, value) for name, value in found)]

    def values(self, field: Field) -> list[Json]:
        """Return some values that rows have in this field."""
        found = [row[field.name] for row in self.created if row[field.name] is not None]
        values = [each for value in found for each in value] if field.is_list else found
        return list({in_query(value): value for value in values}.values())[:4]


def _matches(field: Field, row: Row, value: Json) -> bool:
    held = row[field.name]
    return value in (held or ()) if field.is_list else bool(held == value) and held is not None


@pytest.fixture(scope="module")
def stocks(shop: Shop) -> dict[str, Stock]:
    """Rows of every resource with filters; no test may create more of them."""
    made = [resource for resource in shop.resources.values() if resource.filters]
    created = {resource.plural: _stocked(shop.rows(resource)) for resource in made}
    return {
        resource.plural: Stock(rows := shop.rows(resource), created[resource.plural], rows.walk())
        for resource in made
    }


def _stocked(rows: Rows) -> list[Row]:
    choices = {
        field.name: _few_values(rows, field, count)
        for field, count in zip(rows.resource.filters, cycle(VALUES), strict=False)
    }
    return [rows.create(**{name: next(values) for name, values in choices.items()}) for _ in range(ROWS)]


def _few_values(rows: Rows, field: Field, count: int) -> Iterator[Json]:
    """Yield few values again and again, null among them if it may be; unique values are all different."""
    if field.is_unique:
        return iter(lambda: rows.value(field), object())
    if field.kind == "ref":
        values: list[Any] = [rows.shop.of(field.of).create_least()["id"] for _ in range(count)]
    else:
        values = list(islice(iter(lambda: valid(field), object()), count))
    return cycle([*values, None] if field.is_optional else values)


def _must_find(stock: Stock, values: Mapping[str, Json], limit: int = 7) -> None:
    query = {name: in_query(value) for name, value in values.items()}
    _must_list(stock, query, stock.matching(values), limit)


def _must_list(stock: Stock, query: Mapping[str, str], expected: list[Row], limit: int = 7) -> None:
    found = stock.rows.walk(query, limit)
    what = f"{stock.rows.resource.path}?{query} finds {len(expected)} rows of {len(stock.all)}"
    assert ids(found) == ids(expected), f"{what}, not {len(found)}"
    assert found == expected, f"{what}, in full"


def test_a_filter_finds_the_rows_with_its_value(stocks: dict[str, Stock], filter_field: FieldCase) -> None:
    stock, field = stocks[filter_field.resource.plural], filter_field.field
    for value in stock.values(field):
        expected = stock.matching({field.name: value})
        for spelling in spellings(field, value):
            _must_list(stock, {field.name: spelling}, expected)


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_pages_of_a_filter_are_walked_in_any_step(
    limit: int, stocks: dict[str, Stock], filter_field: FieldCase
) -> None:
    stock, name = stocks[filter_field.resource.plural], filter_field.field.name
    _must_find(stock, {name: stock.values(filter_field.field)[0]}, limit)


def test_a_value_that_no_row_has_finds_nothing(stocks: dict[str, Stock], filter_field: FieldCase) -> None:
    stock, field = stocks[filter_field.resource.plural], filter_field.field
    value = str(uuid.uuid4()) if field.kind == "ref" else valid(field)
    _must_find(stock, {field.name: value[0] if field.is_list else value}, limit=100)


def test_two_filters_find_the_rows_that_match_both(stocks: dict[str, Stock], filter_pair: FieldsCase) -> None:
    stock, (first, second) = stocks[filter_pair.resource.plural], filter_pair.fields
    for one, other in zip(stock.values(first), stock.values(second), strict=False):
        _must_find(stock, {first.name: one, second.name: other})


def test_all_filters_together_find_the_rows_that_match_all(
    stocks: dict[str, Stock], with_filters: Resource
) -> None:
    stock = stocks[with_filters.plural]
    for row in stock.created[:6]:
        held = {field.name: _one_of(row[field.name]) for field in with_filters.filters}
        values = {name: value for name, value in held.items() if value is not None}
        assert row["id"] in ids(stock.matching(values))
        _must_find(stock, values, limit=1)


def _one_of(value: Json) -> Json:
    return (value or [None])[0] if isinstance(value, list) else value


def test_a_value_that_a_filter_cannot_have_is_refused(shop: Shop, filter_field: FieldCase) -> None:
    rows, name = shop.rows(filter_field.resource), filter_field.field.name
    for text in wrong_in_query(filter_field.field):
        must_blame(rows.get_page(**{name: text}), ["query", name], f"{filter_field}={text} is refused")


def test_a_changed_row_moves_between_the_values_of_a_filter(shop: Shop, filter_field: FieldCase) -> None:
    rows, field = shop.rows(filter_field.resource), filter_field.field
    row = rows.create()
    value = rows.value(field)
    time.sleep(0.002)
    changed = rows.patch(row["id"], {field.name: value}).json()
    query = {field.name: in_query(_one_of(changed[field.name]))}
    assert changed in rows.walk(query), f"the row is found under its new {filter_field}"
    old = _one_of(row[field.name])
    if not _matches(field, changed, old):
        assert row["id"] not in ids(rows.walk({field.name: in_query(old)})), "and not under the old one"

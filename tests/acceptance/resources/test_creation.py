"""New rows: what they may hold, and what is refused where."""

import uuid
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin

import pytest

from tests.acceptance.resources.cases import FieldCase, LimitCase, WrongCase
from tests.acceptance.resources.grammar import Resource
from tests.acceptance.resources.shop import MADE_BY_THE_SERVICE, Shop, ids, must_blame
from tests.acceptance.resources.values import is_kept
from tests.acceptance.service import body_of, must, must_answer


def test_a_new_row_is_returned_with_exactly_the_sent_values(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    draft = rows.draft()
    answer = rows.post(draft)
    created = body_of(answer, 201, "a row with a value in every field is created")
    owner = ["owner"] if resource.is_owned else []
    names = ["id", *owner, *(field.name for field in resource.fields), "created_at", "updated_at"]
    must(list(created) == names, f"a row has the fields {names} in this order", answer)
    must(uuid.UUID(created["id"]).version == 7, "an id is a UUIDv7", answer)
    rows.must_keep(draft, answer)


def test_a_new_row_can_be_read_at_its_location(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    answer = rows.post(rows.draft())
    where = urljoin(f"{shop.service.base_url}{resource.path}", answer.headers["Location"])
    read = shop.service.send("GET", where)
    must(read.json() == answer.json(), "reading a row gives what creating it gave", read)
    must(read.headers["ETag"] == answer.headers["ETag"], "a row is read with the entity tag it got", read)


def test_a_new_row_has_the_time_of_its_creation(shop: Shop, resource: Resource) -> None:
    row = shop.rows(resource).create()
    created, updated = (datetime.fromisoformat(row[name]) for name in ("created_at", "updated_at"))
    assert created == updated, f"{row} was updated when it was created"
    assert created.utcoffset() == timedelta(0), f"{row} has times in UTC"
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1), f"{row} was created now"


def test_an_omitted_field_is_null_or_its_default(shop: Shop, resource: Resource) -> None:
    row = shop.rows(resource).create_least()
    left_out = [field for field in resource.fields if not field.is_required]
    found = {field.name: row[field.name] for field in left_out}
    expected = {field.name: field.default for field in left_out}
    kept = [is_kept(field, field.default, row[field.name]) for field in left_out]
    assert all(kept), f"{resource.plural} without optional fields has {expected}, not {found}"


def test_a_required_field_cannot_be_left_out(shop: Shop, required_field: FieldCase) -> None:
    rows, name = shop.rows(required_field.resource), required_field.field.name
    draft = {each: value for each, value in rows.draft().items() if each != name}
    must_blame(rows.post(draft), ["body", name], f"a row needs {required_field}")


def test_an_optional_field_can_be_null(shop: Shop, optional_field: FieldCase) -> None:
    row = shop.rows(optional_field.resource).create(**{optional_field.field.name: None})
    assert row[optional_field.field.name] is None, f"{optional_field} is null as sent"


def test_a_field_that_is_not_optional_cannot_be_null(shop: Shop, not_null_field: FieldCase) -> None:
    rows, name = shop.rows(not_null_field.resource), not_null_field.field.name
    must_blame(rows.post(rows.draft(**{name: None})), ["body", name], f"{not_null_field} cannot be null")


def test_a_wrong_value_is_refused_at_its_field(shop: Shop, wrong: WrongCase) -> None:
    rows, name = shop.rows(wrong.resource), wrong.field.name
    must_blame(rows.post(rows.draft(**{name: wrong.value})), ["body", name], f"{wrong} is refused")


def test_a_value_at_its_limit_is_kept(shop: Shop, at_limit: LimitCase) -> None:
    rows, value = shop.rows(at_limit.resource), at_limit.make()
    answer = rows.post(rows.draft(**{at_limit.field.name: value}))
    row = body_of(answer, 201, f"{at_limit} is accepted")
    rows.must_keep({at_limit.field.name: value}, answer)
    assert rows.read(row["id"]) == row, f"{at_limit} is read as it was created"
    # Where values are unique, the next run creates the same one.
    must_answer(rows.delete(row["id"]), 204, "a row can be deleted")


@pytest.mark.parametrize("name", [*MADE_BY_THE_SERVICE, "stranger", "\u00e9 \u2028"])
def test_a_field_that_a_row_does_not_have_is_refused(name: str, shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    value = rows.create().get(name, "x")
    must_blame(rows.post(rows.draft(**{name: value})), ["body", name], f"{name!r} is not to be sent")


def test_a_reference_is_sent_by_its_id_only(shop: Shop, reference: FieldCase) -> None:
    rows, relation = shop.rows(reference.resource), reference.field.relation
    draft = rows.draft(**{relation: shop.referred(reference.field.of)})
    must_blame(rows.post(draft), ["body", relation], f"{reference} is sent as an id")


def test_a_reference_to_nothing_is_refused_at_its_field(shop: Shop, reference: FieldCase) -> None:
    rows, name = shop.rows(reference.resource), reference.field.name
    newest = rows.newest()
    draft = rows.draft(**{name: str(uuid.uuid4())})
    must_blame(rows.post(draft), ["body", name], f"{reference} refers to a row that exists")
    assert rows.newest() == newest, "a row that refers to nothing is not created"


def test_a_reference_to_a_row_of_another_resource_is_refused(shop: Shop, reference: FieldCase) -> None:
    rows, name = shop.rows(reference.resource), reference.field.name
    others = [each for each in shop.resources if each != reference.field.of]
    for plural in others:
        draft = rows.draft(**{name: shop.referred(plural)["id"]})
        must_blame(rows.post(draft), ["body", name], f"{reference} does not refer to {plural}")


def test_a_unique_value_that_is_taken_returns_409_with_its_field(shop: Shop, unique_field: FieldCase) -> None:
    rows, name = shop.rows(unique_field.resource), unique_field.field.name
    row = rows.create_with(unique_field.field)
    newest = rows.newest()
    answer = must_answer(rows.post(rows.draft(**{name: row[name]})), 409, f"{unique_field} is unique")
    must(answer.json().get("field") == name, f"the problem names {name}", answer)
    assert rows.newest() == newest, "a row with a value that is taken is not created"
    rows.must_show(row)


def test_a_unique_value_is_free_again_after_its_row(shop: Shop, unique_field: FieldCase) -> None:
    rows, name = shop.rows(unique_field.resource), unique_field.field.name
    row = rows.create_with(unique_field.field)
    must_answer(rows.delete(row["id"]), 204, "a row can be deleted")
    assert rows.create(**{name: row[name]})[name] == row[name]


def test_of_many_rows_with_one_unique_value_at_once_one_is_created(
    shop: Shop, unique_field: FieldCase
) -> None:
    rows, name = shop.rows(unique_field.resource), unique_field.field.name
    value = rows.value(unique_field.field)
    drafts = [rows.draft(**{name: value}) for _ in range(8)]
    answers = shop.service.many(lambda number: rows.post(drafts[number]), len(drafts))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] + [409] * 7, f"{unique_field} is unique: {statuses}"


def test_null_is_not_unique(shop: Shop, unique_field: FieldCase) -> None:
    if not unique_field.field.is_optional:
        return
    rows, name = shop.rows(unique_field.resource), unique_field.field.name
    first, second = (rows.create(**{name: None}) for _ in range(2))
    assert {first["id"], second["id"]} <= set(ids(rows.walk())), f"many rows have no {unique_field}"


def test_all_violated_rules_of_a_row_are_reported(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    required = [field.name for field in resource.fields if field.is_required]
    answer = must_answer(rows.post({"stranger": 1}), 422, "an empty row with a stranger is refused")
    places = {tuple(error["loc"]) for error in answer.json()["errors"]}
    must(places == {("body", name) for name in [*required, "stranger"]}, "each fault has its place", answer)


def test_two_rows_of_one_value_are_two_rows(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    draft = rows.draft()
    first = rows.create(**draft)
    second = rows.create(**draft | {field.name: rows.value(field) for field in resource.unique})
    assert first["id"] != second["id"]

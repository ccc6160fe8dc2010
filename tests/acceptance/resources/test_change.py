"""Changes: only what is given, refused as a whole, and only of the version that the client has seen."""

import time
import uuid
from datetime import datetime

import pytest

from tests.acceptance.resources.cases import FieldCase, WrongCase
from tests.acceptance.resources.grammar import Field, Resource
from tests.acceptance.resources.shop import MADE_BY_THE_SERVICE, Row, Rows, Shop, must_blame
from tests.acceptance.resources.values import Json, is_kept, others
from tests.acceptance.service import body_of, must, must_answer


def other_value(rows: Rows, row: Row, field: Field) -> Json:
    """Return another valid value than the row has, the same if the type has only one."""
    if field.kind == "ref":
        return rows.shop.of(field.of).create_least()["id"]
    return next(others(field, row[field.name]), row[field.name])


def a_change(rows: Rows, row: Row) -> Row:
    """Return a change of one field that makes the row another."""
    for field in rows.resource.fields:
        if (value := other_value(rows, row, field)) != row[field.name]:
            return {field.name: value}
    raise AssertionError(f"{rows.resource.plural} has no field with two values")


def test_a_change_changes_only_the_given_field(shop: Shop, any_field: FieldCase) -> None:
    rows, field = shop.rows(any_field.resource), any_field.field
    row = rows.create()
    value = other_value(rows, row, field)
    time.sleep(0.002)
    answer = rows.patch(row["id"], {field.name: value})
    changed = body_of(answer, 200, f"{any_field} can be changed")
    must(is_kept(field, value, changed[field.name]), f"{any_field} is {value!r} after the change", answer)
    expected = row | {name: changed[name] for name in (field.name, "updated_at")}
    must(changed == expected, f"nothing but {any_field} changes", answer)
    later = datetime.fromisoformat(changed["updated_at"]) > datetime.fromisoformat(row["updated_at"])
    must(later, "updated_at is the time of the change", answer)
    rows.must_show(changed)


def test_a_change_of_every_field_at_once_is_made(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    row, changes = rows.create(), rows.draft()
    answer = rows.patch(row["id"], changes)
    body_of(answer, 200, "every field can be changed at once")
    rows.must_keep(changes, answer)
    rows.must_show(answer.json())


def test_a_change_leaves_out_what_has_a_default(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    row = rows.create()
    changes = a_change(rows, row)
    changed = rows.patch(row["id"], changes).json()
    kept = [field.name for field in resource.fields if field.name not in changes]
    assert all(changed[name] == row[name] for name in kept), f"a change of {list(changes)} keeps {kept}"


def test_an_optional_field_can_be_taken_away(shop: Shop, optional_field: FieldCase) -> None:
    rows, name = shop.rows(optional_field.resource), optional_field.field.name
    row = rows.create()
    changed = body_of(rows.patch(row["id"], {name: None}), 200, f"{optional_field} can be null")
    assert changed == row | {name: None, "updated_at": changed["updated_at"]}
    rows.must_show(changed)


def test_a_field_that_is_not_optional_cannot_be_taken_away(shop: Shop, not_null_field: FieldCase) -> None:
    rows, name = shop.rows(not_null_field.resource), not_null_field.field.name
    row = rows.create()
    must_blame(rows.patch(row["id"], {name: None}), ["body", name], f"{not_null_field} cannot be null")
    rows.must_show(row)


def test_a_wrong_value_is_refused_and_changes_nothing(shop: Shop, wrong: WrongCase) -> None:
    rows = shop.rows(wrong.resource)
    row = shop.referred(wrong.resource.plural)
    answer = rows.patch(row["id"], {wrong.field.name: wrong.value})
    must_blame(answer, ["body", wrong.field.name], f"{wrong} is refused")
    assert rows.read(row["id"]) == row, f"{wrong} changes nothing"


@pytest.mark.parametrize("name", [*MADE_BY_THE_SERVICE, "stranger"])
def test_a_field_that_a_row_does_not_have_is_refused(name: str, shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    row = rows.create()
    must_blame(rows.patch(row["id"], {name: row.get(name, 1)}), ["body", name], f"{name} is not to be sent")
    rows.must_show(row)


def test_a_reference_to_nothing_is_refused_and_changes_nothing(shop: Shop, reference: FieldCase) -> None:
    rows, name = shop.rows(reference.resource), reference.field.name
    row = rows.create()
    answer = rows.patch(row["id"], {name: str(uuid.uuid4())})
    must_blame(answer, ["body", name], f"{reference} refers to a row that exists")
    rows.must_show(row)


def test_a_unique_value_of_another_row_returns_409_and_changes_nothing(
    shop: Shop, unique_field: FieldCase
) -> None:
    rows, name = shop.rows(unique_field.resource), unique_field.field.name
    row, other = rows.create(), rows.create_with(unique_field.field)
    changes = rows.draft() | {name: other[name]}
    answer = must_answer(rows.patch(row["id"], changes), 409, f"{unique_field} is unique")
    must(answer.json().get("field") == name, f"the problem names {name}", answer)
    rows.must_show(row)


def test_a_row_may_keep_its_unique_value(shop: Shop, unique_field: FieldCase) -> None:
    rows, name = shop.rows(unique_field.resource), unique_field.field.name
    row = rows.create()
    must_answer(rows.patch(row["id"], {name: row[name]}), 200, f"{unique_field} is the row's own")


def test_an_empty_change_changes_nothing(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    row = rows.create()
    assert body_of(rows.patch(row["id"], {}), 200, "an empty change is accepted") == row


def test_a_missing_row_returns_404(shop: Shop, resource: Resource) -> None:
    rows, missing = shop.rows(resource), str(uuid.uuid4())
    changes = a_change(rows, rows.create())
    must_answer(rows.get(missing), 404, "a missing row cannot be read")
    must_answer(rows.patch(missing, changes), 404, "a missing row cannot be changed")
    must_answer(rows.patch(missing, changes, "*"), {404, 412}, "nothing matches")
    must_answer(rows.patch(missing, {}), 404, "a missing row cannot be changed")
    must_answer(rows.delete(missing), 404, "a missing row cannot be deleted")


@pytest.mark.parametrize("row_id", ["x", "x-y", "null"])
def test_an_id_that_is_not_a_uuid_is_refused(row_id: str, shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    for answer in (rows.get(row_id), rows.patch(row_id, {})):
        must_answer(answer, {404, 422}, f"{row_id} is not an id")


# --- Versions -------------------------------------------------------------------------------------------


def test_a_row_is_sent_again_only_after_a_change(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    row = rows.create()
    seen = rows.get(row["id"]).headers["ETag"]
    known = must_answer(rows.get(row["id"], if_none_match=seen), 304, "the client has the row")
    must(known.content == b"", "304 has no body", known)
    changed = rows.patch(row["id"], a_change(rows, row))
    must(changed.headers["ETag"] != seen, "a changed row has another entity tag", changed)
    promise = "a changed row is sent to a client that has the old one"
    shop.service.within_bound(
        lambda: rows.get(row["id"], if_none_match=seen).content == changed.content, promise
    )


def test_a_change_is_made_only_to_the_version_that_was_seen(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    created = rows.post(rows.draft())
    row, seen = created.json(), created.headers["ETag"]
    changed = rows.patch(row["id"], a_change(rows, row), seen)
    must_answer(changed, 200, "the row still has the entity tag")
    change = a_change(rows, changed.json())
    for stale in (seen, '"other"', f"W/{changed.headers['ETag']}"):
        answer = rows.patch(row["id"], change, stale)
        must_answer(answer, 412, f"{stale} is not the row's entity tag")
        must_answer(rows.delete(row["id"], stale), 412, f"{stale} is not its tag")
    rows.must_show(changed.json())
    must_answer(rows.delete(row["id"], changed.headers["ETag"]), 204, "the tag matches")


def test_an_empty_change_of_another_version_returns_412(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    row = rows.create()
    must_answer(rows.patch(row["id"], {}, '"other"'), 412, "the row has another tag")


def test_of_many_changes_of_one_version_at_once_one_is_made(shop: Shop, resource: Resource) -> None:
    rows = shop.rows(resource)
    created = rows.post(rows.draft())
    row, seen = created.json(), created.headers["ETag"]
    changes = [a_change(rows, row) for _ in range(6)]
    answers = shop.service.many(lambda number: rows.patch(row["id"], changes[number], seen), 6)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [412] * 5, f"no change is lost to another: {statuses}"
    (made,) = (answer.json() for answer in answers if answer.status_code == 200)
    rows.must_show(made)

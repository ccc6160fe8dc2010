"""One item: created, read, changed and deleted."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest

from tests.acceptance.service import ITEMS, Item, Service, body_of, must, must_answer

KEYS = {"id", "name", "description", "price_cents", "tags", "created_at", "updated_at"}
SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper case": str.upper,
    "no hyphens": lambda text: text.replace("-", ""),
    "braces": lambda text: f"{{{text}}}",
    "urn": lambda text: f"urn:uuid:{text}",
}


def test_creating_an_item_returns_201_and_all_its_fields(service: Service) -> None:
    draft = service.draft(tags=["a", "b"])
    answer = service.send_json("POST", ITEMS, draft)
    created = body_of(answer, 201, "a valid item is created")
    must(created.keys() == KEYS, f"an item has exactly the fields {sorted(KEYS)}", answer)
    must({key: created[key] for key in draft} == draft, "an item keeps what was sent", answer)
    must(uuid.UUID(created["id"]).version == 7, "an id is a UUIDv7", answer)


def test_the_location_of_a_created_item_can_be_read(service: Service) -> None:
    answer = service.post()
    where = urljoin(f"{service.base_url}{ITEMS}", answer.headers.get("Location", ""))
    read = body_of(service.send("GET", where), 200, "Location is the address of the new item")
    must(read == answer.json(), "reading an item returns the same as creating it", answer)


def test_times_are_rfc_3339_in_utc_and_now(service: Service) -> None:
    item = service.create()
    created, updated = (datetime.fromisoformat(item[key]) for key in ("created_at", "updated_at"))
    assert created.utcoffset() == updated.utcoffset() == timedelta(0), f"times are in UTC: {item}"
    assert "T" in item["created_at"], f"times are RFC 3339: {item}"
    assert created == updated, f"a new item was updated when it was created: {item}"
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=1), (
        f"created_at is the time of creation: {item}"
    )


def test_a_description_is_optional(service: Service) -> None:
    draft = service.draft()
    del draft["description"]
    created = body_of(service.send_json("POST", ITEMS, draft), 201, "an item needs no description")
    assert created["description"] is None, f"a description that was not given is null: {created}"


def test_a_taken_name_returns_409_and_changes_nothing(service: Service, item: Item) -> None:
    refused = service.post(name=item["name"], price_cents=1)
    must_answer(refused, 409, "a name is unique")
    assert refused.json()["field"] == "name", f"the field whose value is taken is named: {refused.text}"
    assert service.get(item["id"]).json() == item, "a refused item leaves the other as it was"


def test_names_that_differ_in_case_are_different_names(service: Service) -> None:
    name = service.name("Case")
    service.create(name=name)
    must_answer(service.post(name=name.swapcase()), 201, "names are compared as they are written")


def test_only_one_of_many_concurrent_creations_of_a_name_succeeds(service: Service) -> None:
    name = service.name()
    statuses = sorted(answer.status_code for answer in service.many(lambda _: service.post(name=name), 12))
    assert statuses == [201] + [409] * 11, (
        f"of two creations of one name one is 201, the other 409: {statuses}"
    )


def test_a_missing_item_returns_404(service: Service) -> None:
    missing = str(uuid.uuid4())
    must_answer(service.get(missing), 404, "a missing item cannot be read")
    must_answer(
        service.get(missing, **{"If-None-Match": "*"}), 404, "a missing item matches no If-None-Match"
    )
    must_answer(service.patch(missing, price_cents=1), 404, "a missing item cannot be changed")
    must_answer(service.delete(missing), 404, "a missing item cannot be deleted")


@pytest.mark.parametrize(
    "bad", ["x", "123", "0" * 5000, "null", "%F0%9F%8D%95", "00000000-0000-0000-0000-00000000000g"]
)
def test_an_id_that_is_not_a_uuid_returns_422(bad: str, service: Service) -> None:
    must_answer(service.get(bad), 422, "an id that is not a UUID is refused")
    must_answer(service.patch(bad, price_cents=1), 422, "an id that is not a UUID is refused")
    must_answer(service.delete(bad), {405, 422}, "an id that is not a UUID is refused")


@pytest.mark.parametrize(
    "bad", ["%00", "a%00b", "%ED%A0%80", "%FF", "..%2f..%2fetc%2fpasswd", "%0d%0aX-Evil:%201"]
)
def test_an_id_of_odd_bytes_is_refused(bad: str, service: Service) -> None:
    answer = must_answer(service.get(bad), {400, 404, 422}, "an id of odd bytes is refused")
    must("X-Evil" not in answer.headers, "a path cannot add a header", answer)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_item_read_under_another_spelling_of_its_id_is_as_new(
    spelling: str, service: Service, item: Item
) -> None:
    other = SPELLINGS[spelling](item["id"])
    before = must_answer(service.get(other), {200, 404, 422}, "another spelling of an id is read or refused")
    service.patch(item["id"], price_cents=77).raise_for_status()
    if before.status_code == 200:
        shown = f"after a change, the {spelling} spelling of the id shows the new item"
        service.within_bound(lambda: service.get(other).json()["price_cents"] == 77, shown)


def test_an_upper_case_id_is_the_same_id(service: Service, item: Item) -> None:
    must_answer(service.get(item["id"].upper()), 200, "a UUID means the same in upper case")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("description", "New."),
        ("price_cents", 0),
        ("price_cents", 2**53 - 1),
        ("tags", ["x", "y"]),
        ("tags", []),
    ],
)
def test_a_change_changes_only_the_given_field(key: str, value: object, service: Service, item: Item) -> None:
    time.sleep(0.005)
    answer = service.patch(item["id"], **{key: value})
    changed = body_of(answer, 200, "an item can be changed")
    must(
        changed == item | {key: value, "updated_at": changed["updated_at"]},
        "only the given field changes",
        answer,
    )
    later = datetime.fromisoformat(changed["updated_at"]) > datetime.fromisoformat(item["updated_at"])
    must(later, "updated_at is the time of the change", answer)
    service.within_bound(lambda: service.get(item["id"]).json() == changed, "a read after a change shows it")


def test_a_new_name_frees_the_old_one(service: Service, item: Item) -> None:
    new_name = service.name("renamed")
    body_of(service.patch(item["id"], name=new_name), 200, "an item can be renamed")
    must_answer(service.post(name=new_name), 409, "a new name is taken")
    must_answer(service.post(name=item["name"]), 201, "an old name is free again")


def test_a_change_to_a_taken_name_returns_409_and_changes_nothing(service: Service, item: Item) -> None:
    other = service.create()
    must_answer(service.patch(item["id"], name=other["name"], price_cents=1), 409, "a name is unique")
    assert service.get(item["id"]).json() == item, "a refused change leaves the item as it was"


def test_an_item_can_be_changed_to_its_own_name(service: Service, item: Item) -> None:
    must_answer(service.patch(item["id"], name=item["name"]), 200, "an item may keep its name")


def test_an_empty_change_changes_nothing(service: Service, item: Item) -> None:
    time.sleep(0.005)
    unchanged = body_of(service.patch(item["id"]), 200, "an empty change is allowed")
    assert unchanged == item, f"an empty change leaves the item as it was: {unchanged} is not {item}"


def test_a_description_can_be_removed(service: Service, item: Item) -> None:
    changed = body_of(service.patch(item["id"], description=None), 200, "a description can be set to null")
    assert changed["description"] is None, f"a removed description is null: {changed}"
    service.within_bound(lambda: service.get(item["id"]).json() == changed, "a read after a change shows it")


@pytest.mark.parametrize("key", ["name", "price_cents", "tags"])
def test_a_field_that_is_not_optional_cannot_be_null(key: str, service: Service, item: Item) -> None:
    must_answer(service.patch(item["id"], **{key: None}), 422, f"{key} cannot be set to null")
    must_answer(service.post(**{key: None}), 422, f"{key} cannot be null")


@pytest.mark.parametrize("key", ["id", "created_at", "updated_at"])
def test_fields_that_the_service_sets_cannot_be_sent(key: str, service: Service, item: Item) -> None:
    must_answer(service.patch(item["id"], **{key: item[key]}), 422, f"{key} cannot be changed")
    must_answer(service.post(**{key: item[key]}), 422, f"{key} cannot be chosen")


def test_concurrent_changes_of_different_fields_are_all_kept(service: Service, item: Item) -> None:
    changes: list[Item] = [{"price_cents": 4}, {"description": "Both."}, {"tags": ["kept"]}] * 4
    answers = service.many(lambda number: service.patch(item["id"], **changes[number]), len(changes))
    assert {answer.status_code for answer in answers} == {200}, "concurrent changes all succeed"
    expected: Item = {"price_cents": 4, "description": "Both.", "tags": ["kept"]}
    lost = "a change of one field never undoes a change of another"
    service.within_bound(lambda: expected.items() <= service.get(item["id"]).json().items(), lost)


def if_match(service: Service, method: str, item: Item, etag: str, **fields: object) -> httpx2.Response:
    """Send a change that applies only if the item has this entity tag."""
    options: dict[str, Any] = {"json": fields} if fields else {}
    return service.send(method, f"{ITEMS}/{item['id']}", headers={"If-Match": etag}, **options)


def test_a_create_a_change_and_a_read_return_the_same_entity_tag(service: Service) -> None:
    created = service.post(description="é\u2028", tags=["x", "y"])
    item_id = created.json()["id"]
    must(
        created.headers["ETag"] == service.get(item_id).headers["ETag"],
        "a create returns the tag of a read",
        created,
    )
    changed = service.patch(item_id, price_cents=7)
    same = changed.headers["ETag"]
    service.within_bound(
        lambda: service.get(item_id).headers["ETag"] == same, "a change returns the tag of a read"
    )


def test_if_match_changes_only_what_the_client_has_seen(service: Service, item: Item) -> None:
    seen = service.get(item["id"]).headers["ETag"]
    changed = must_answer(if_match(service, "PATCH", item, seen, price_cents=3), 200, "its tag matches")
    for stale in (seen, '"other"', f"W/{changed.headers['ETag']}"):
        must_answer(if_match(service, "PATCH", item, stale, price_cents=4), 412, f"{stale} is not its tag")
        must_answer(if_match(service, "DELETE", item, stale), 412, f"{stale} is not its tag")
    newest = if_match(service, "PATCH", item, "*", price_cents=5).headers["ETag"]
    must_answer(
        if_match(service, "PATCH", item, f'"other", {newest}', price_cents=6), 200, "one of two tags matches"
    )
    must_answer(if_match(service, "DELETE", item, "*"), 204, "any tag matches")
    must_answer(if_match(service, "DELETE", item, "*"), 404, "a deleted item has no tag")


def test_only_one_of_many_concurrent_changes_with_one_entity_tag_is_made(
    service: Service, item: Item
) -> None:
    etag = service.get(item["id"]).headers["ETag"]
    answers = service.many(lambda n: if_match(service, "PATCH", item, etag, price_cents=100 + n), 8)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [412] * 7, f"no change overwrites another: {statuses}"


def test_a_deleted_item_is_gone(service: Service) -> None:
    tag = service.tag()
    item = service.create(tags=[tag])
    service.get(item["id"])
    answer = must_answer(service.delete(item["id"]), 204, "an item can be deleted")
    must(answer.content == b"", "204 has no body", answer)
    must_answer(service.delete(item["id"]), 404, "an item can be deleted once")
    must_answer(service.patch(item["id"], price_cents=1), 404, "a deleted item cannot be changed")
    service.within_bound(lambda: service.get(item["id"]).status_code == 404, "a deleted item cannot be read")
    service.within_bound(lambda: service.tagged(tag) == [], "a deleted item is not listed")
    must_answer(service.post(name=item["name"]), 201, "the name of a deleted item is free")

"""Items over HTTP: the contract that clients rely on."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

AXES: tuple[str, ...] = ("database", "mongodb_driver", "cache", "serializer")

ITEMS = "/api/v1/items"
DRAFT = {"name": "Lamp", "description": "Brass", "price_cents": 4_200, "tags": ["light", "old"]}
JSON = {"Content-Type": "application/json"}


def create(client: TestClient, **fields: Any) -> Any:
    answer = client.post(ITEMS, json={"price_cents": 1, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def path_of(item: dict[str, Any]) -> str:
    return f"{ITEMS}/{item['id']}"


def assert_problem(answer: Response, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["type"]
    assert problem["title"]
    assert problem["detail"]


def test_creating_an_item_returns_its_location(client: TestClient) -> None:
    answer = client.post(ITEMS, json=DRAFT)
    item = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == path_of(item)
    assert item | DRAFT == item
    assert UUID(item["id"]).version == 7
    assert item["created_at"] == item["updated_at"]
    assert item["created_at"].endswith("Z")


def test_an_item_reads_as_it_was_created(client: TestClient) -> None:
    created = client.post(ITEMS, json=DRAFT)
    read = client.get(created.headers["location"])
    assert read.status_code == 200
    assert read.content == created.content
    assert read.headers["etag"] == created.headers["etag"]
    assert read.headers["cache-control"].removeprefix("private, ") == "no-cache"


def test_optional_fields_have_defaults(client: TestClient) -> None:
    item = create(client, name="a")
    assert (item["description"], item["tags"]) == (None, [])


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "with\0nul"},
        {"name": 1},
        {"name": None},
        {"description": "x" * 2_001},
        {"price_cents": -1},
        {"price_cents": 2**53},
        {"price_cents": "1"},
        {"price_cents": True},
        {"price_cents": 1.0},
        {"price_cents": None},
        {"tags": ["x"] * 21},
        {"tags": [""]},
        {"tags": ["x" * 51]},
        {"tags": "x"},
        {"tags": None},
        {"unknown": 1},
        {"id": str(uuid4())},
    ],
)
def test_an_invalid_field_is_refused_on_creation_and_change(
    client: TestClient, fields: dict[str, Any]
) -> None:
    item = create(client, name="valid")
    assert_problem(client.post(ITEMS, json={**DRAFT, **fields}), 422)
    assert_problem(client.patch(path_of(item), json=fields), 422)
    assert client.get(path_of(item)).json() == item


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"name": "a", "price_cents": NaN}',
        b'{"name": "a", "price_cents": Infinity}',
        b'{"name": "\\ud800", "price_cents": 1}',
        b'{"\\ud800": 1}',
        b'{"name": "a", "price_cents": 1' + b"0" * 400 + b"}",
    ],
)
def test_a_body_that_is_not_an_item_is_refused(client: TestClient, body: bytes) -> None:
    assert_problem(client.post(ITEMS, content=body, headers=JSON), 422)


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b'{"price_cents": 1' + b"0" * 5_000 + b"}"])
def test_a_body_that_cannot_be_read_is_a_bad_request(client: TestClient, body: bytes) -> None:
    assert_problem(client.post(ITEMS, content=body, headers=JSON), 400)


def test_a_body_of_another_type_is_refused(client: TestClient) -> None:
    body = json.dumps(DRAFT)
    assert_problem(client.post(ITEMS, content=body, headers={"Content-Type": "text/plain"}), 422)


def test_the_extremes_are_accepted(client: TestClient) -> None:
    extremes = {
        "name": "\U0001f600" * 200,
        "description": "\u2028" * 2_000,
        "price_cents": 2**53 - 1,
        "tags": ["é" * 50] * 20,
    }
    item = create(client, **extremes)
    assert client.get(path_of(item)).json() == item | extremes


def test_a_taken_name_is_a_conflict(client: TestClient) -> None:
    create(client, name="taken")
    other = create(client, name="other")
    assert_problem(client.post(ITEMS, json={"name": "taken", "price_cents": 1}), 409)
    assert_problem(client.patch(path_of(other), json={"name": "taken"}), 409)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_missing_item_returns_404(client: TestClient, method: str) -> None:
    content = "{}" if method == "PATCH" else None
    assert_problem(client.request(method, f"{ITEMS}/{uuid4()}", content=content, headers=JSON), 404)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_id_that_is_not_a_uuid_returns_422(client: TestClient, method: str) -> None:
    content = "{}" if method == "PATCH" else None
    assert_problem(client.request(method, f"{ITEMS}/42", content=content, headers=JSON), 422)


@pytest.mark.parametrize("matching", ["{tag}", "W/{tag}", '"other", {tag}', '"other",W/{tag}', "*"])
def test_a_matching_entity_tag_returns_304(client: TestClient, matching: str) -> None:
    item = create(client, name="a")
    tag = client.get(path_of(item)).headers["etag"]
    answer = client.get(path_of(item), headers={"If-None-Match": matching.format(tag=tag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)


def test_several_if_none_match_headers_are_one_list(client: TestClient) -> None:
    item = create(client, name="a")
    tag = client.get(path_of(item)).headers["etag"]
    answer = client.get(path_of(item), headers=[("If-None-Match", '"other"'), ("If-None-Match", tag)])
    assert answer.status_code == 304


@pytest.mark.parametrize("other", ['"other"', 'W/"other"', "", '"a", "b"', "{tag}x"])
def test_another_entity_tag_returns_the_item(client: TestClient, other: str) -> None:
    item = create(client, name="a")
    tag = client.get(path_of(item)).headers["etag"]
    answer = client.get(path_of(item), headers={"If-None-Match": other.format(tag=tag)})
    assert (answer.status_code, answer.json()) == (200, item)


def test_a_change_updates_only_the_given_fields(client: TestClient) -> None:
    item = create(client, **DRAFT)
    changed = client.patch(path_of(item), json={"description": None})
    assert changed.status_code == 200
    assert changed.json() == item | {"description": None, "updated_at": changed.json()["updated_at"]}
    # Not as text: whole seconds are written without a fraction.
    times = [datetime.fromisoformat(each["updated_at"]) for each in (item, changed.json())]
    assert times == sorted(times)


def test_a_read_after_a_change_shows_the_change(client: TestClient) -> None:
    item = create(client, name="a")
    before = client.get(path_of(item))
    changed = client.patch(path_of(item), json={"price_cents": 7})
    after = client.get(path_of(item), headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, after.content) == (200, changed.content)


def test_an_empty_change_changes_nothing(client: TestClient) -> None:
    item = create(client, **DRAFT)
    answer = client.patch(path_of(item), json={})
    assert (answer.status_code, answer.json()) == (200, item)


def test_a_deleted_item_is_gone(client: TestClient) -> None:
    item = create(client, name="a")
    client.get(path_of(item))
    answer = client.delete(path_of(item))
    assert (answer.status_code, answer.content) == (204, b"")
    assert_problem(client.get(path_of(item)), 404)
    assert_problem(client.delete(path_of(item)), 404)


def pages(client: TestClient, **query: Any) -> Iterator[list[str]]:
    while True:
        page = client.get(ITEMS, params=query).json()
        yield [item["name"] for item in page["items"]]
        if page["next"] is None:
            return
        query["after"] = page["next"]


def test_pages_follow_their_cursors_from_newest_to_oldest(client: TestClient) -> None:
    for number in range(5):
        create(client, name=f"n{number}", tags=["even"] if number % 2 == 0 else [])
    assert list(pages(client, limit=2)) == [["n4", "n3"], ["n2", "n1"], ["n0"]]
    assert list(pages(client, limit=2, tags="even")) == [["n4", "n2"], ["n0"]]


def test_a_page_has_twenty_items_unless_asked_otherwise(client: TestClient) -> None:
    batch = [{"name": f"n{number}", "price_cents": 1} for number in range(101)]
    assert client.post(f"{ITEMS}/batch", json=batch).status_code == 201
    assert len(next(pages(client))) == 20
    assert len(next(pages(client, limit=100))) == 100


def test_no_items_are_an_empty_page(client: TestClient) -> None:
    assert client.get(ITEMS).json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=1000000000", "limit=x", "after=x", "tags=", "tags=%00"]
)
def test_an_invalid_query_is_refused(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"{ITEMS}?{query}"), 422)


def test_a_batch_is_created_completely(client: TestClient) -> None:
    batch = [{"name": f"n{number}", "price_cents": number, "tags": ["t"]} for number in range(1_000)]
    answer = client.post(f"{ITEMS}/batch", json=batch)
    assert (answer.status_code, answer.json()) == (201, {"created": 1_000})
    assert client.get(f"{ITEMS}/summary").json()["count"] == 1_000


@pytest.mark.parametrize(
    ("batch", "status"),
    [
        ([], 422),
        ([{"name": "a", "price_cents": 1}] * 1_001, 422),
        ([{"name": "a", "price_cents": 1}, {"name": "b", "price_cents": -1}], 422),
        ([{"name": "a", "price_cents": 1}, {"name": "a", "price_cents": 2}], 409),
        ([{"name": "a", "price_cents": 1}, {"name": "taken", "price_cents": 2}], 409),
        ({"name": "a", "price_cents": 1}, 422),
    ],
)
def test_a_batch_with_an_invalid_item_creates_nothing(client: TestClient, batch: Any, status: int) -> None:
    create(client, name="taken")
    assert_problem(client.post(f"{ITEMS}/batch", json=batch), status)
    assert client.get(f"{ITEMS}/summary").json()["count"] == 1


def test_the_export_has_one_item_per_line(client: TestClient) -> None:
    items = [create(client, name=f"n{number}", description="line\nbreak") for number in range(3)]
    answer = client.get(f"{ITEMS}/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.content.splitlines()] == items[::-1]


def test_the_export_of_nothing_is_empty(client: TestClient) -> None:
    assert client.get(f"{ITEMS}/export").content == b""


def test_the_summary_aggregates_all_items(client: TestClient) -> None:
    create(client, name="a", price_cents=1, tags=["x", "y"])
    create(client, name="b", price_cents=4, tags=["y"])
    assert client.get(f"{ITEMS}/summary").json() == {
        "count": 2,
        "price_cents": {"min": 1, "max": 4, "mean": 2.5},
        "tags": [{"value": "y", "count": 2}, {"value": "x", "count": 1}],
    }


def test_the_summary_of_nothing_has_no_prices(client: TestClient) -> None:
    nothing = {"count": 0, "price_cents": {"min": None, "max": None, "mean": None}, "tags": []}
    assert client.get(f"{ITEMS}/summary").json() == nothing

"""A booted service sends exactly the statuses and headers in its document."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.clients.conftest import Document, Running, Services

# Headers of the connection, the body and the server, which clients do not read.
TRANSPORT = {"date", "server", "connection", "content-length", "content-type", "transfer-encoding", "vary"}
MAX_BODY_BYTES = 4 * 1024 * 1024
UNKNOWN = "019b76da-a800-7000-8000-000000000000"
LATIN = "ä".encode("latin-1")
# An operation and a status.
Key = tuple[str, int]
Walk = Callable[[httpx2.Client], None]

pytestmark = pytest.mark.quick


class Answers:
    """The responses to all requests of a client, by operation and status, with their headers."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.headers: dict[Key, list[set[str]]] = defaultdict(list)
        self._routes = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), method.upper(), operation)
            # Paths without parameters come first, as in the service.
            for path, operations in sorted(document["paths"].items(), key=lambda each: "{" in each[0])
            for method, operation in operations.items()
        ]

    def note(self, response: httpx2.Response) -> None:
        """Keep the names of the headers."""
        path, method = response.request.url.path, response.request.method
        operation = next(
            each for regex, verb, each in self._routes if verb == method and regex.fullmatch(path)
        )
        names = {name.lower() for name in response.headers} - TRANSPORT
        self.headers[operation["operationId"], response.status_code].append(names)

    def documented(self) -> dict[Key, set[str]]:
        """Return the headers of every status of every operation."""
        return {
            (operation["operationId"], int(status)): {name.lower() for name in response.get("headers", ())}
            for _, _, operation in self._routes
            for status, response in operation["responses"].items()
        }


def walk_through_items(client: httpx2.Client) -> None:
    """Request everything that the items' routes return while the database is up."""
    name, other = f"walked {uuid4()}", f"walked, too {uuid4()}"
    items, draft = "/api/v1/items", {"name": name, "price_cents": 1}
    made = client.post(items, json=draft)
    item, etag = f"{items}/{made.json()['id']}", made.headers["ETag"]
    for path, method, body in ((items, "POST", draft), (f"{items}/batch", "POST", [draft])):
        client.request(method, path, json=body)
        client.request(method, path, json={"name": 1})
    client.post(f"{items}/batch", json=[{"name": other, "price_cents": 1}])
    for path, method in ((items, "POST"), (f"{items}/batch", "POST"), (item, "PATCH")):
        client.request(method, path, content=LATIN, headers={"Content-Type": "application/json"})
        client.request(method, path, content=b" " * (MAX_BODY_BYTES + 1))
    page = client.get(items)
    client.get(items, headers={"If-None-Match": page.headers["ETag"]})
    client.get(items, params={"limit": 0})
    client.get(f"{items}/export")
    client.get(f"{items}/summary")
    # A miss, then a hit.
    client.get(item)
    client.get(item)
    client.get(item, headers={"If-None-Match": etag})
    client.patch(item, json={"price_cents": 2}, headers={"If-Match": etag})
    client.patch(item, json={"price_cents": 3}, headers={"If-Match": etag})
    client.patch(item, json={"name": other})
    client.patch(item, json={"price_cents": -1})
    client.delete(item, headers={"If-Match": etag})
    for method in ("GET", "PATCH", "DELETE"):
        changes: dict[str, Any] | None = {} if method == "PATCH" else None
        client.request(method, f"{items}/{UNKNOWN}", json=changes)
        client.request(method, f"{items}/none", json=changes)
    client.delete(item)


def walk_through_references(client: httpx2.Client) -> None:
    """Request what only resources with references return."""
    name = f"referred to {uuid4()}"
    item = client.post("/api/v1/items", json={"name": name, "price_cents": 1}).json()["id"]
    lines = "/api/v1/order-lines"
    line = {"number": str(uuid4()), "item_id": item, "quantity": 1, "price": "1"}
    row_id = client.post(lines, json=line).json()["id"]
    client.post(lines, json=line | {"item_id": UNKNOWN})
    client.get(lines, params={"expand": "item", "status": "open"})
    client.get(lines, params={"expand": "nothing"})
    client.get(f"{lines}/{row_id}", params={"expand": "item"})
    client.get(f"{lines}/{row_id}")
    client.delete(f"/api/v1/items/{item}")


def walk_through_health(client: httpx2.Client) -> None:
    """Request the probes."""
    client.get("/health/live")
    client.get("/health/ready")


def walk_through_an_outage(client: httpx2.Client) -> None:
    """Request everything from a service without tables."""
    draft = {"name": "walked", "price_cents": 1}
    client.post("/api/v1/items", json=draft)
    client.post("/api/v1/items/batch", json=[draft])
    for path in ("", "/export", "/summary", f"/{UNKNOWN}"):
        client.get(f"/api/v1/items{path}")
    client.patch(f"/api/v1/items/{UNKNOWN}", json={"price_cents": 2})
    client.delete(f"/api/v1/items/{UNKNOWN}")
    walk_through_health(client)


def answers_of(service: Running, *walks: Walk) -> Answers:
    """Return the responses of the service to these requests."""
    answers = Answers(service.document)
    with service.client() as client:
        client.event_hooks = {"response": [answers.note]}
        for walk in walks:
            walk(client)
    return answers


@pytest.fixture(params=["ttl", "none"])
def items(request: pytest.FixtureRequest, services: Services) -> Running:
    """Return a service with the sample, with and without a cache."""
    return services.of("item", cache=request.param)


def differences(answers: Answers) -> Iterator[str]:
    """Yield the differences between responses and document."""
    documented = answers.documented()
    for key, sent in answers.headers.items():
        if key not in documented:
            yield f"{key} is returned but not documented"
            continue
        names = {name for each in sent for name in each}
        unknown, missing = names - documented[key], documented[key] - names
        if unknown:
            yield f"{key} sends {sorted(unknown)}, which the document lacks"
        if missing:
            yield f"{key} never sends {sorted(missing)}, which the document has"


def test_the_headers_that_are_sent_are_those_that_are_documented(items: Running) -> None:
    assert not list(differences(answers_of(items, walk_through_items, walk_through_health)))


def test_resources_that_refer_to_others_send_documented_headers(services: Services) -> None:
    assert not list(differences(answers_of(services.of("shop"), walk_through_items, walk_through_references)))


def test_a_service_without_tables_sends_documented_headers(services: Services) -> None:
    answers = answers_of(services.without_tables("item"), walk_through_an_outage)

    assert not list(differences(answers))
    outages = {key for key in answers.documented() if key[1] == 503}
    assert outages <= answers.headers.keys()


def test_every_documented_status_of_a_resource_occurs(services: Services) -> None:
    shop, empty = services.of("shop"), services.without_tables("item")
    answers = answers_of(shop, walk_through_items, walk_through_references, walk_through_health)
    in_outage = answers_of(empty, walk_through_an_outage)
    of_items = {key for key in in_outage.documented() if key in answers.documented()}

    assert of_items == (answers.headers.keys() | in_outage.headers.keys()) & of_items
    assert len(of_items) > 40


def test_the_headers_of_the_contract_are_in_the_document(items: Running) -> None:
    answers = answers_of(items, walk_through_health)
    documented = answers.documented()
    cached = {"x-cache"} if items.folder.name.endswith("ttl") else set()
    everywhere = {"x-request-id", "server-timing", "cache-control"}

    assert documented["create_item", 201] == everywhere | {"etag", "location"}
    assert documented["read_item", 200] == everywhere | {"etag"} | cached
    assert documented["read_item", 304] == everywhere | {"etag"} | cached
    assert documented["list_items", 304] == everywhere | {"etag"}
    assert documented["change_item", 200] == everywhere | {"etag"}
    assert documented["change_item", 503] == everywhere | {"retry-after"}
    assert all(headers >= everywhere for headers in documented.values())


def parameters(document: Document, operation_id: str) -> set[str]:
    operations: list[Any] = [each for path in document["paths"].values() for each in path.values()]
    operation = next(each for each in operations if each["operationId"] == operation_id)
    references = [
        each["$ref"].rpartition("/")[2] for each in operation.get("parameters", ()) if "$ref" in each
    ]
    return {name for name in references if document["components"]["parameters"][name]["in"] == "header"}


def test_the_request_headers_of_the_contract_are_in_the_document(items: Running) -> None:
    assert parameters(items.document, "read_item") == {"If-None-Match", "X-Request-ID"}
    assert parameters(items.document, "list_items") == {"If-None-Match", "X-Request-ID"}
    assert parameters(items.document, "change_item") == {"If-Match", "X-Request-ID"}
    assert parameters(items.document, "remove_item") == {"If-Match", "X-Request-ID"}
    assert parameters(items.document, "create_item") == {"X-Request-ID"}

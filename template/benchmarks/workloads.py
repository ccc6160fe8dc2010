"""What is asked of the service, and the items it is asked for."""

import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import NamedTuple
from uuid import uuid4

from benchmarks.errors import CannotMeasure
from benchmarks.generator import COUNTER
from benchmarks.service import HOST, Answer, Service

ITEMS = "/api/v1/items"
SEEDED_ITEMS = 1_000
ITEMS_ASKED = 100
BATCH_SIZE = 20


class Workload(NamedTuple):
    """Requests that are sent in turn, and the only status that is no error."""

    name: str
    requests: Sequence[bytes]
    status: HTTPStatus = HTTPStatus.OK
    # A batch is judged by the items it creates in a second.
    items_per_request: int = 1


def prepare(service: Service) -> list[Workload]:
    """Fill the service with items and return what to ask of it. Raises `CannotMeasure` where it refuses."""
    prefix = uuid4().hex
    drafts = [_draft(f"{prefix} seed {number}") for number in range(SEEDED_ITEMS)]
    _expect(HTTPStatus.CREATED, service.ask("POST", f"{ITEMS}/batch", json.dumps(drafts).encode()))
    read, changed = _two_pages(service)
    tags = [_expect(HTTPStatus.OK, service.ask("GET", path)).headers["ETag"] for path in read]
    return [*_reads(read, tags), *_writes(prefix, changed)]


def _two_pages(service: Service) -> Iterator[list[str]]:
    # Not the same items, because an item that changes gets another entity tag.
    after = ""
    for _ in range(2):
        answer = _expect(HTTPStatus.OK, service.ask("GET", f"{ITEMS}?limit={ITEMS_ASKED}{after}"))
        page = json.loads(answer.body)
        yield [f"{ITEMS}/{item['id']}" for item in page["items"]]
        after = f"&after={page['next']}"


def _reads(paths: list[str], entity_tags: list[str]) -> Iterator[Workload]:
    yield Workload("read an item", [request("GET", path) for path in paths])
    yield Workload(
        "read an unchanged item",
        [
            request("GET", path, headers={"If-None-Match": tag})
            for path, tag in zip(paths, entity_tags, strict=True)
        ],
        HTTPStatus.NOT_MODIFIED,
    )
    yield Workload("list 100 items", [request("GET", f"{ITEMS}?limit=100")])


def _writes(prefix: str, paths: list[str]) -> Iterator[Workload]:
    created = json.dumps(_draft(f"{prefix} created {COUNTER}"))
    yield Workload("create an item", [request("POST", ITEMS, created)], HTTPStatus.CREATED)
    # 1 before the counter, because numbers in JSON do not begin with zeros.
    changed = f'{{"price_cents": 1{COUNTER}}}'
    yield Workload("change an item", [request("PATCH", path, changed) for path in paths])
    batch = json.dumps([_draft(f"{prefix} batch {COUNTER} {number}") for number in range(BATCH_SIZE)])
    yield Workload(
        f"create {BATCH_SIZE} in a batch",
        [request("POST", f"{ITEMS}/batch", batch)],
        HTTPStatus.CREATED,
        BATCH_SIZE,
    )


def request(method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> bytes:
    """Return the bytes of an HTTP request; `COUNTER` in its body is another number each time it is sent."""
    fields = {"Host": HOST, **(headers or {})}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", body]).encode()


def _draft(name: str) -> dict[str, object]:
    return {
        "name": name,
        "description": "A sturdy thing of the usual size, delivered within a week.",
        "price_cents": 12_900,
        "tags": ["garden", "steel"],
    }


def _expect(status: HTTPStatus, answer: Answer) -> Answer:
    if answer.status != status:
        raise CannotMeasure(f"The service answers {answer.status} to a plain request: {answer.body[:200]!r}")
    return answer

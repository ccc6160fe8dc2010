"""The requests sent to the service: every endpoint of its contract, and those that the project adds."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.generator import COUNTER
from fastforge_kit.project import PROJECT, REQUESTS, TARGETS, read_toml
from fastforge_kit.service import HOST, Answer, Service

ITEMS = "/api/v1/items"
SEEDED_ITEMS = 1_000
ITEMS_ASKED = 100
BATCH_SIZE = 20
MOST_IN_A_BATCH = 1_000


class Stock:
    """The items in a service's database that workloads ask for."""

    def __init__(self, service: Service, deletions: int) -> None:
        """Fill the service; `deletions` is how many items there will be to delete. Raises `CannotMeasure`."""
        self._service = service
        self._deletions = deletions
        self.prefix = uuid4().hex
        self._create("seed", SEEDED_ITEMS)
        first = self._get(f"{ITEMS}?limit={ITEMS_ASKED}")
        # Not the same items, because an item that changes gets another entity tag.
        second = self._get(f"{ITEMS}?limit={ITEMS_ASKED}&after={json.loads(first.body)['next']}")
        self.read, self.changed = _paths(first), _paths(second)

    def entity_tags(self) -> list[str]:
        """Return the tags of the items that are read."""
        return [self._get(path).headers["ETag"] for path in self.read]

    def to_delete(self) -> list[str]:
        """Create items, and return their paths."""
        self._create("spare", self._deletions)
        items = map(json.loads, self._get(f"{ITEMS}/export").body.splitlines())
        return [f"{ITEMS}/{item['id']}" for item in items if item["name"].startswith(f"{self.prefix} spare")]

    def _create(self, kind: str, number: int) -> None:
        drafts = [draft(f"{self.prefix} {kind} {each}") for each in range(number)]
        for start in range(0, number, MOST_IN_A_BATCH):
            batch = json.dumps(drafts[start : start + MOST_IN_A_BATCH]).encode()
            _expect(HTTPStatus.CREATED, self._service.ask("POST", f"{ITEMS}/batch", batch))

    def _get(self, path: str) -> Answer:
        return _expect(HTTPStatus.OK, self._service.ask("GET", path))


@dataclass(frozen=True)
class Workload:
    """Requests that are sent in turn, and the only status that is no error.

    `requests` makes them when the service is about to be asked. What writes is measured after all that reads, so that
    reads find the same items in every round.
    """

    name: str
    endpoint: str
    requests: Callable[[Stock], Sequence[bytes]]
    status: HTTPStatus = HTTPStatus.OK
    writes: bool = False
    # An item can be deleted once only.
    sent_once: bool = False
    # A batch is judged by the items it creates in a second, an export by those it writes.
    items_per_request: int = 1


def request(method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of an HTTP request; `COUNTER` in its body is another number each time it is sent."""
    fields = {"Host": HOST, **(headers or {})}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", body]).encode()


def draft(name: str) -> dict[str, object]:
    """Return a new item of the usual size."""
    return {
        "name": name,
        "description": "A sturdy thing of the usual size, delivered within a week.",
        "price_cents": 12_900,
        "tags": ["garden", "steel"],
    }


def _read(stock: Stock) -> list[bytes]:
    return [request("GET", path) for path in stock.read]


def _read_unchanged(stock: Stock) -> list[bytes]:
    tags = stock.entity_tags()
    return [
        request("GET", path, headers={"If-None-Match": tag})
        for path, tag in zip(stock.read, tags, strict=True)
    ]


def _create(stock: Stock) -> list[bytes]:
    return [request("POST", ITEMS, json.dumps(draft(f"{stock.prefix} created {COUNTER}")))]


def _change(stock: Stock) -> list[bytes]:
    # 1 before the counter, because numbers in JSON do not begin with zeros.
    return [request("PATCH", path, f'{{"price_cents": 1{COUNTER}}}') for path in stock.changed]


def _create_batch(stock: Stock) -> list[bytes]:
    drafts = [draft(f"{stock.prefix} batch {COUNTER} {number}") for number in range(BATCH_SIZE)]
    return [request("POST", f"{ITEMS}/batch", json.dumps(drafts))]


def _delete(stock: Stock) -> list[bytes]:
    return [request("DELETE", path) for path in stock.to_delete()]


def _get(path: str) -> Callable[[Stock], list[bytes]]:
    return lambda _: [request("GET", path)]


WORKLOADS = (
    Workload("read an item", f"GET {ITEMS}/{{id}}", _read),
    Workload("read an unchanged item", f"GET {ITEMS}/{{id}}", _read_unchanged, HTTPStatus.NOT_MODIFIED),
    Workload("list 100 items", f"GET {ITEMS}", _get(f"{ITEMS}?limit=100")),
    Workload("summarize the items", f"GET {ITEMS}/summary", _get(f"{ITEMS}/summary")),
    Workload(
        "export 1,000 items",
        f"GET {ITEMS}/export",
        _get(f"{ITEMS}/export"),
        items_per_request=SEEDED_ITEMS,
    ),
    Workload("see whether it lives", "GET /health/live", _get("/health/live")),
    Workload("see whether it is ready", "GET /health/ready", _get("/health/ready")),
    Workload("collect its metrics", "GET /metrics", _get("/metrics")),
    Workload("read its OpenAPI document", "GET /openapi.json", _get("/openapi.json")),
    Workload("create an item", f"POST {ITEMS}", _create, HTTPStatus.CREATED, writes=True),
    Workload("change an item", f"PATCH {ITEMS}/{{id}}", _change, writes=True),
    Workload(
        "delete an item",
        f"DELETE {ITEMS}/{{id}}",
        _delete,
        HTTPStatus.NO_CONTENT,
        writes=True,
        sent_once=True,
    ),
    Workload(
        f"create {BATCH_SIZE} in a batch",
        f"POST {ITEMS}/batch",
        _create_batch,
        HTTPStatus.CREATED,
        writes=True,
        items_per_request=BATCH_SIZE,
    ),
)


@cache
def workloads() -> tuple[Workload, ...]:
    """Return the workloads of the contract, then those of the project's own requests.

    Raises:
        CannotMeasure: The project's file of targets cannot be read, or a request in it makes no sense.
    """
    return (*WORKLOADS, *read_workloads(PROJECT / TARGETS))


def read_workloads(file: Path) -> Iterator[Workload]:
    """Yield a workload for each `[[request]]` of a file of targets. Raises `CannotMeasure`."""
    requests = read_toml(file).get(REQUESTS, [])
    for number, table in enumerate(requests if isinstance(requests, list) else [requests], 1):
        try:
            yield _own_workload(**table)
        except (TypeError, ValueError) as error:
            raise CannotMeasure(
                f"{TARGETS}: request {number} makes no sense: {error}.",
                "It needs a name and a path; method, status and body are optional.",
            ) from None


def _own_workload(
    *, name: str, path: str, method: str = "GET", status: int = HTTPStatus.OK, body: str = ""
) -> Workload:
    """Return the workload of a request that the project adds; `COUNTER` in its body changes each time."""
    if not path.startswith("/") or any(character.isspace() for character in path + method):
        raise ValueError(f"{method} {path!r} is not a request")
    sent = request(method, path, body)
    return Workload(name, f"{method} {path}", lambda _: [sent], HTTPStatus(status), writes=method != "GET")


def _paths(page: Answer) -> list[str]:
    return [f"{ITEMS}/{item['id']}" for item in json.loads(page.body)["items"]]


def _expect(status: HTTPStatus, answer: Answer) -> Answer:
    if answer.status != status:
        raise CannotMeasure(
            f"The service answers {answer.status} to a plain request: {answer.body[:200]!r}.",
            "See what its log says: python -m app",
        )
    return answer

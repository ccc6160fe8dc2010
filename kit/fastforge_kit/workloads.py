"""The requests sent to the service: every endpoint of one resource, those of the machinery, and the project's own."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from fastforge_kit.drafts import PROBES, Drafts
from fastforge_kit.errors import CannotMeasure
from fastforge_kit.generator import COUNTER
from fastforge_kit.openapi import Resource
from fastforge_kit.project import PROJECT, REQUESTS, TARGETS, read_toml
from fastforge_kit.service import HOST, Response, Service, expect

SEEDED_ROWS = 1_000
ROWS_READ = 100
BATCH_ROWS = 20
MOST_IN_A_BATCH = 1_000
# Without a batch, each row that is deleted takes a request to create.
DELETIONS_WITHOUT_BATCH = 2_000
# Stands for the path of the measured resource.
PATH = "PATH"


class Stock:
    """Rows of one resource in a service's database, to be read, changed and deleted."""

    def __init__(
        self, service: Service, resources: Sequence[Resource], resource: Resource, deletions: int
    ) -> None:
        """Fill the service; `deletions` is the number of rows to delete. Raises `CannotMeasure`."""
        self.path = resource.path
        self.drafts = Drafts(service, resources, resource)
        self._service = service
        self._has_batch = "batch" in resource.parts
        self._deletions = deletions if self._has_batch else min(deletions, DELETIONS_WITHOUT_BATCH)
        self._create("seed", SEEDED_ROWS - PROBES)
        # Other rows, because a row that changes gets another entity tag.
        paths = self._newest(2 * ROWS_READ)
        self.read, self.changed = paths[:ROWS_READ], paths[ROWS_READ:]

    def entity_tags(self) -> list[str]:
        """Return the tags of the rows that are read."""
        return [self._get(path).headers["ETag"] for path in self.read]

    def to_delete(self) -> list[str]:
        """Create rows, and return their paths."""
        self._create("spare", self._deletions)
        return self._newest(self._deletions)

    def batch(self, rows: int) -> str:
        """Return the body of a batch of this many rows."""
        return json.dumps([self.drafts.draft(f"batch {number}", COUNTER) for number in range(rows)])

    def _create(self, kind: str, count: int) -> None:
        drafts = [self.drafts.draft(kind, number) for number in range(count)]
        size = MOST_IN_A_BATCH if self._has_batch else 1
        for start in range(0, count, size):
            body = drafts[start : start + size] if self._has_batch else drafts[start]
            path = f"{self.path}/batch" if self._has_batch else self.path
            expect(HTTPStatus.CREATED, self._service.request("POST", path, json.dumps(body).encode()))

    def _newest(self, count: int) -> list[str]:
        """Return the paths of the newest rows."""
        paths: list[str] = []
        query = f"?limit={ROWS_READ}"
        while len(paths) < count:
            page = json.loads(self._get(f"{self.path}{query}").body)
            paths += [f"{self.path}/{row['id']}" for row in page["items"]]
            query = f"?limit={ROWS_READ}&after={page['next']}"
        return paths[:count]

    def _get(self, path: str) -> Response:
        return expect(HTTPStatus.OK, self._service.request("GET", path))


@dataclass(frozen=True)
class Workload:
    """Requests that are sent in turn, and the only status that is not an error.

    `requests` makes them right before they are sent. Workloads that write are measured after all that read, so that
    reads find the same rows in every round.
    """

    name: str
    endpoint: str
    requests: Callable[[Stock], Sequence[bytes]]
    status: HTTPStatus = HTTPStatus.OK
    writes: bool = False
    # A row can be deleted only once.
    sent_once: bool = False
    # A batch is judged by the rows that it creates per second, an export by those that it writes.
    rows_per_request: int = 1

    def of(self, resource: Resource) -> "Workload":
        """Return the workload as it is for this resource."""
        return replace(self, endpoint=self.endpoint.replace(PATH, resource.path))

    def is_offered_by(self, resource: Resource) -> bool:
        """Return whether the resource has such an endpoint."""
        part = self.endpoint.partition(f"{PATH}/")[2]
        return part in {"", "{id}", *resource.parts}


def request(method: str, path: str, body: str = "", headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of an HTTP request; `COUNTER` in its body is another number each time it is sent."""
    fields = {"Host": HOST, **(headers or {})}
    if body:
        fields |= {"Content-Type": "application/json", "Content-Length": str(len(body.encode()))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", body]).encode()


def _read(stock: Stock) -> list[bytes]:
    return [request("GET", path) for path in stock.read]


def _revalidate(stock: Stock) -> list[bytes]:
    return [
        request("GET", path, headers={"If-None-Match": tag})
        for path, tag in zip(stock.read, stock.entity_tags(), strict=True)
    ]


def _create(stock: Stock) -> list[bytes]:
    return [request("POST", stock.path, json.dumps(stock.drafts.draft("created", COUNTER)))]


def _change(stock: Stock) -> list[bytes]:
    body = stock.drafts.change(COUNTER)
    return [request("PATCH", path, body) for path in stock.changed]


def _create_batch(stock: Stock) -> list[bytes]:
    return [request("POST", f"{stock.path}/batch", stock.batch(BATCH_ROWS))]


def _delete(stock: Stock) -> list[bytes]:
    return [request("DELETE", path) for path in stock.to_delete()]


def _get_below(suffix: str) -> Callable[[Stock], list[bytes]]:
    return lambda stock: [request("GET", f"{stock.path}{suffix}")]


def _always(sent: bytes) -> Callable[[object], list[bytes]]:
    return lambda _: [sent]


READ, REVALIDATE, LIST, CREATE = "read one", "revalidate one", "list 100", "create one"
RESOURCE_WORKLOADS = (
    Workload(READ, f"GET {PATH}/{{id}}", _read),
    Workload(REVALIDATE, f"GET {PATH}/{{id}}", _revalidate, HTTPStatus.NOT_MODIFIED),
    Workload(LIST, f"GET {PATH}", _get_below("?limit=100")),
    Workload("summarize", f"GET {PATH}/summary", _get_below("/summary")),
    Workload("export 1,000", f"GET {PATH}/export", _get_below("/export"), rows_per_request=SEEDED_ROWS),
    Workload(CREATE, f"POST {PATH}", _create, HTTPStatus.CREATED, writes=True),
    Workload("change one", f"PATCH {PATH}/{{id}}", _change, writes=True),
    Workload(
        "delete one", f"DELETE {PATH}/{{id}}", _delete, HTTPStatus.NO_CONTENT, writes=True, sent_once=True
    ),
    Workload(
        f"create {BATCH_ROWS} in a batch",
        f"POST {PATH}/batch",
        _create_batch,
        HTTPStatus.CREATED,
        writes=True,
        rows_per_request=BATCH_ROWS,
    ),
)
SERVICE_WORKLOADS = tuple(
    Workload(name, f"GET {path}", _always(request("GET", path)))
    for name, path in (
        ("liveness", "/health/live"),
        ("readiness", "/health/ready"),
        ("metrics", "/metrics"),
        ("OpenAPI document", "/openapi.json"),
    )
)


def workloads_of(resource: Resource | None) -> list[Workload]:
    """Return the workloads of a resource, if there is one, and of the service, then the project's own requests.

    Raises:
        CannotMeasure: The project's file of targets cannot be read, or a request in it makes no sense.
    """
    offered = [
        each.of(resource)
        for each in RESOURCE_WORKLOADS
        if resource is not None and each.is_offered_by(resource)
    ]
    # Those that write come last, as they are measured.
    known = sorted([*offered, *SERVICE_WORKLOADS], key=lambda each: each.writes)
    return [*known, *read_workloads(PROJECT / TARGETS)]


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
    return Workload(name, f"{method} {path}", _always(sent), HTTPStatus(status), writes=method != "GET")

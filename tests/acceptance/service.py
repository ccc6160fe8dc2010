"""A running service as its clients see it, with the promises that each of its responses must keep."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import httpx2

Item = dict[str, Any]
Json = Any
T = TypeVar("T")

ITEMS = "/api/v1/items"
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
PROBLEM = "application/problem+json"
PROBLEM_KEYS = {"type", "title", "status", "detail", "request_id"}
MAX_PRICE = 2**53 - 1
# The time that a test waits beyond a bound: for the request itself, on a busy machine.
GRACE_SECONDS = 0.5


@dataclass(frozen=True)
class Service:
    """The service at `base_url`, the answers it was generated from and the settings it was started with."""

    base_url: str
    answers: dict[str, Any]
    workers: int
    cache_ttl_seconds: float
    max_body_bytes: int
    # Not shown in failures.
    token: str = field(default="", repr=False)
    # Another caller with the same scopes, and one who sees the rows of all.
    other_token: str = field(default="", repr=False)
    overseer_token: str = field(default="", repr=False)
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @cached_property
    def client(self) -> httpx2.Client:
        """A client that accepts no compression by default, and checks the promises of every response."""
        return httpx2.Client(
            base_url=self.base_url,
            headers={"Accept-Encoding": "identity", **self.credentials},
            event_hooks={"response": [self.check_promises]},
            timeout=20,
            trust_env=False,
        )

    @property
    def credentials(self) -> dict[str, str]:
        """The headers of every request; empty if the service needs no credentials."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def cache(self) -> str:
        """The answer to the question `cache`."""
        return str(self.answers["cache"])

    @property
    def stale_seconds(self) -> float:
        """The time after the response to a write in which a read may return the old state."""
        return self.cache_ttl_seconds if self.cache == "ttl" and self.workers > 1 else 0

    @property
    def encodings(self) -> set[str]:
        """The content codings that a client must get if it accepts them."""
        if self.answers["compression"] == "none":
            return set()
        if self.answers["compression"] == "gzip" or self.answers["deployment"] == "nginx":
            return {"gzip"}
        return {"gzip", "br", "zstd"}

    @property
    def possible_encodings(self) -> set[str]:
        """The content codings that a client may get: an Nginx may have modules for more than gzip."""
        if self.answers["compression"] == "negotiated":
            return {"gzip", "br", "zstd"}
        return self.encodings

    # --- Requests -------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Return the response to one request."""
        return self.client.request(method, path, **options)

    def send_json(self, method: str, path: str, document: Json) -> httpx2.Response:
        """Return the response to `document`, escaped to ASCII; NaN and lone surrogates stay unchanged."""
        return self.send_bytes(method, path, json.dumps(document).encode())

    def send_bytes(
        self, method: str, path: str, body: bytes, content_type: str = "application/json"
    ) -> httpx2.Response:
        """Return the response to a body of exactly these bytes."""
        return self.send(method, path, content=body, headers={"Content-Type": content_type})

    def on_new_connection(self, path: str) -> httpx2.Response:
        """Return the response to a GET on a separate connection, which any worker may accept."""
        return self.send("GET", path, headers={"Connection": "close"})

    def many(self, request: Callable[[int], T], count: int, at_once: int = 8) -> list[T]:
        """Return what `request` returns for 0 to `count - 1`, several at a time."""
        with ThreadPoolExecutor(at_once) as threads:
            return list(threads.map(request, range(count)))

    # --- Items ----------------------------------------------------------------------------------------------

    def name(self, text: str = "item") -> str:
        """Return a name that no other item has."""
        return f"{text} {self.run} {uuid.uuid4().hex[:12]}"

    def tag(self) -> str:
        """Return a tag that no other item has."""
        return f"tag-{self.run}-{uuid.uuid4().hex[:8]}"

    def draft(self, **fields: Json) -> Item:
        """Return an item as a client sends it, with `fields` instead of those of a plain one."""
        return {"name": self.name(), "description": "As described.", "price_cents": 1250, "tags": []} | fields

    def post(self, **fields: Json) -> httpx2.Response:
        """Return the response to a new item with these fields."""
        return self.send_json("POST", ITEMS, self.draft(**fields))

    def create(self, **fields: Json) -> Item:
        """Return a new item."""
        answer = self.post(**fields)
        item: Item = body_of(answer, 201, "a valid item is created")
        return item

    def get(self, item_id: str, **headers: str) -> httpx2.Response:
        """Return the response to reading one item."""
        return self.send("GET", f"{ITEMS}/{item_id}", headers=headers)

    def patch(self, item_id: str, **fields: Json) -> httpx2.Response:
        """Return the response to a change of these fields."""
        return self.send_json("PATCH", f"{ITEMS}/{item_id}", fields)

    def delete(self, item_id: str) -> httpx2.Response:
        """Return the response to deleting an item."""
        return self.send("DELETE", f"{ITEMS}/{item_id}")

    def batch(self, drafts: Json) -> httpx2.Response:
        """Return the response to a batch."""
        return self.send_json("POST", f"{ITEMS}/batch", drafts)

    def page(self, **query: Json) -> dict[str, Any]:
        """Return one page of the list."""
        answer = self.send("GET", ITEMS, params=query)
        page: dict[str, Any] = body_of(answer, 200, f"a list responds to {query}")
        must(page.keys() == {"items", "next"}, "a page has exactly `items` and `next`", answer)
        return page

    def pages(self, **query: Json) -> Iterator[list[Item]]:
        """Yield the pages of the list, one request each, until `next` is null."""
        followed: set[str] = set()
        while True:
            page = self.page(**query)
            yield page["items"]
            if page["next"] is None:
                return
            query["after"] = page["next"]
            assert query["after"] not in followed, f"paging ends, but {query} came twice"
            followed.add(query["after"])

    def tagged(self, tag: str) -> list[Item]:
        """Return all items with this tag."""
        return [item for page in self.pages(tags=tag, limit=100) for item in page]

    def summary(self) -> dict[str, Any]:
        """Return the summary."""
        summary: dict[str, Any] = body_of(self.send("GET", f"{ITEMS}/summary"), 200, "there is a summary")
        return summary

    def within_bound(self, holds: Callable[[], bool], promise: str) -> None:
        """Fail unless `holds` becomes true while reads may be stale, which is usually no time."""
        deadline = time.monotonic() + self.stale_seconds + GRACE_SECONDS
        while not (held := holds()) and self.stale_seconds and time.monotonic() < deadline:
            time.sleep(0.05)
        if not held:
            raise AssertionError(f"{promise} (a read may be stale for {self.stale_seconds} s here)")

    # --- Promises of every response -------------------------------------------------------------------------

    def check_promises(self, response: httpx2.Response) -> None:
        """Fail if `response` breaks a promise that holds for every response."""
        identity = response.headers.get("X-Request-ID", "")
        must(
            REQUEST_ID.fullmatch(identity) is not None,
            f"every response carries one X-Request-ID of [A-Za-z0-9._-]{{1,128}}, not {identity!r}",
            response,
        )
        timed = "Server-Timing" in response.headers or "X-Process-Time" in response.headers
        must(timed, "every response carries Server-Timing or X-Process-Time", response)
        must(response.status_code < 500, "nothing that a client sends causes a 5xx", response)
        cached = response.headers.get("X-Cache", "miss")
        must(cached in {"hit", "miss"}, "X-Cache is `hit` or `miss`", response)
        if self.cache == "none":
            must("X-Cache" not in response.headers, "without a cache, X-Cache is not sent", response)
        if response.status_code >= 400 and response.request.method != "HEAD":
            self._check_problem(response, identity)

    def _check_problem(self, response: httpx2.Response, identity: str) -> None:
        response.read()
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        must(media_type == PROBLEM, f"every error is {PROBLEM}", response)
        problem = json.loads(response.content)
        missing = sorted(PROBLEM_KEYS - problem.keys())
        must(
            not missing,
            f"a problem has type, title, status, detail and request_id (missing: {missing})",
            response,
        )
        must(problem["status"] == response.status_code, "a problem repeats the status", response)
        must(problem["request_id"] == identity, "a problem repeats the X-Request-ID", response)
        words = all(isinstance(problem[key], str) and problem[key] for key in ("type", "title", "detail"))
        must(words, "a problem's type, title and detail are text", response)
        must("Traceback" not in response.text, "no response contains a stack trace", response)


def must(holds: bool, promise: str, response: httpx2.Response) -> None:
    """Fail with a description, the request and the start of the response, unless `holds`."""
    if holds:
        return
    request = response.request
    response.read()
    answer = f"{response.status_code} {dict(response.headers)} {response.text[:300]}"
    raise AssertionError(f"Broken promise: {promise}.\n  {request.method} {request.url}\n  answered {answer}")


def must_answer(response: httpx2.Response, status: int | set[int], promise: str) -> httpx2.Response:
    """Return `response`, or fail with a description if its status differs."""
    expected = {status} if isinstance(status, int) else status
    wanted = " or ".join(str(number) for number in sorted(expected))
    must(response.status_code in expected, f"{promise} (expected {wanted})", response)
    return response


def body_of(response: httpx2.Response, status: int, promise: str) -> Json:
    """Return the JSON of a response with this status, or fail with a description."""
    must_answer(response, status, promise)
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    must(media_type == "application/json", "JSON is sent as application/json", response)
    return json.loads(response.content)

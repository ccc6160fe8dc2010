"""Clients of a service under fault: they keep each response, with its start and its duration."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Self

import httpx2

ITEMS = "/api/v1/items"
CLIENT_SECONDS = 30.0
# The load should keep the service busy without exhausting the machine, which has other work.
PAUSE_SECONDS = 0.005
# The time that a busy machine may need beyond a bound.
GRACE_SECONDS = 3.0


@dataclass(frozen=True)
class Answer:
    """One response; if the connection failed instead, the status is 0 and `text` has the error."""

    method: str
    name: str
    sent_at: float
    seconds: float
    status: int
    headers: httpx2.Headers
    text: str

    @property
    def ended_at(self) -> float:
        """The time at which the response had arrived."""
        return self.sent_at + self.seconds


def new_client(url: str) -> httpx2.Client:
    """Return a client whose requests use one connection at a time."""
    # Nothing is encrypted here, and reading the certificates takes longer than most requests.
    return httpx2.Client(base_url=url, timeout=CLIENT_SECONDS, trust_env=False, verify=False)


def ask(client: httpx2.Client, method: str, path: str, document: object = None, **headers: str) -> Answer:
    """Return the response to one request, or its failure."""
    name = str(document.get("name", "")) if isinstance(document, dict) else ""
    body = None if document is None else json.dumps(document).encode()
    if body is not None:
        headers["Content-Type"] = "application/json"
    sent_at = time.monotonic()
    try:
        response = client.request(method, path, content=body, headers=headers)
    except httpx2.TransportError as error:
        return Answer(method, name, sent_at, time.monotonic() - sent_at, 0, httpx2.Headers(), repr(error))
    seconds = time.monotonic() - sent_at
    return Answer(method, name, sent_at, seconds, response.status_code, response.headers, response.text)


def draft(**fields: object) -> dict[str, object]:
    """Return an item with a name that no other item has."""
    return {"name": f"item {uuid.uuid4().hex}", "price_cents": 1, "tags": []} | fields


def create(client: httpx2.Client) -> Answer:
    """Return the response to a new item."""
    return ask(client, "POST", ITEMS, draft())


def read_absent(client: httpx2.Client) -> Answer:
    """Return the response to a read that no cache can serve."""
    return ask(client, "GET", f"{ITEMS}/{uuid.uuid4()}")


def at_once(url: str, count: int, request: Callable[[httpx2.Client, int], Answer]) -> list[Answer]:
    """Return the responses to `count` simultaneous requests, each on a separate connection."""
    together = threading.Barrier(count)

    def one(number: int) -> Answer:
        with new_client(url) as client:
            together.wait(CLIENT_SECONDS)
            return request(client, number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


class Load:
    """Clients that write and read continuously, one request after the other."""

    def __init__(
        self, url: str, clients: int = 8, reads: Callable[[httpx2.Client], Answer] = read_absent
    ) -> None:
        self.url = url
        self.reads = reads
        self.answers: list[Answer] = []
        self._stop = threading.Event()
        self.threads = [threading.Thread(target=self._go_on) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        self.wait_for(lambda answer: answer.status == 201, CLIENT_SECONDS)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, wanted: Callable[[Answer], bool], seconds: float) -> Answer:
        """Return the first matching response, or fail if there is none in time."""
        return self.wait_for_many(1, wanted, seconds)[0]

    def wait_for_many(self, count: int, wanted: Callable[[Answer], bool], seconds: float) -> list[Answer]:
        """Return the first matching responses, or fail if there are too few in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = list(islice(filter(wanted, tuple(self.answers)), count))
            if len(found) == count:
                return found
            time.sleep(0.02)
        raise AssertionError(
            f"Under {count} such responses within {seconds} s; the last: {self.answers[-5:]}"
        )

    def during(self, start: float, end: float) -> list[Answer]:
        """Return the responses to requests sent after `start` that arrived before `end`."""
        return [answer for answer in self.answers if answer.sent_at >= start and answer.ended_at <= end]

    def acknowledged(self) -> set[str]:
        """Return the names of the items that the service lists."""
        return {answer.name for answer in self.answers if answer.status == 201}

    def _go_on(self) -> None:
        with new_client(self.url) as client:
            while not self._stop.is_set():
                for request in (create, self.reads):
                    answer = request(client)
                    self.answers.append(answer)
                    time.sleep(0.02 if answer.status in {0, 503} else PAUSE_SECONDS)

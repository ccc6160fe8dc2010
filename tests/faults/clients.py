"""Clients of a service under fault: each answer is kept, with when it was asked for and how long it took."""

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
# What is under load is to be at work all the while, not out of breath: the machine has more to do.
PAUSE_SECONDS = 0.005
# How much longer than a bound that is stated a busy machine may take.
GRACE_SECONDS = 3.0


@dataclass(frozen=True)
class Answer:
    """One answer; the status is 0 where the connection failed instead, and `text` says how."""

    method: str
    name: str
    sent_at: float
    seconds: float
    status: int
    headers: httpx2.Headers
    text: str

    @property
    def ended_at(self) -> float:
        """When the answer was there."""
        return self.sent_at + self.seconds


def new_client(url: str) -> httpx2.Client:
    """Return a client whose requests go on one connection at a time."""
    # Nothing is encrypted here, and reading the certificates takes longer than many a request.
    return httpx2.Client(base_url=url, timeout=CLIENT_SECONDS, trust_env=False, verify=False)


def ask(client: httpx2.Client, method: str, path: str, document: object = None, **headers: str) -> Answer:
    """Return the answer to one request, whatever happens to it."""
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
    """Return an item that nobody else has."""
    return {"name": f"item {uuid.uuid4().hex}", "price_cents": 1, "tags": []} | fields


def create(client: httpx2.Client) -> Answer:
    """Return the answer to a new item."""
    return ask(client, "POST", ITEMS, draft())


def read_absent(client: httpx2.Client) -> Answer:
    """Return the answer to a read that no cache can give."""
    return ask(client, "GET", f"{ITEMS}/{uuid.uuid4()}")


def at_once(url: str, count: int, request: Callable[[httpx2.Client, int], Answer]) -> list[Answer]:
    """Return what `count` clients get who ask at the same time, each on a connection of its own."""
    together = threading.Barrier(count)

    def one(number: int) -> Answer:
        with new_client(url) as client:
            together.wait(CLIENT_SECONDS)
            return request(client, number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


class Load:
    """Clients that write and read all the while, one request after the other."""

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
        """Return the first answer that is wanted, or fail when none came in time."""
        return self.wait_for_many(1, wanted, seconds)[0]

    def wait_for_many(self, count: int, wanted: Callable[[Answer], bool], seconds: float) -> list[Answer]:
        """Return the first answers that are wanted, or fail when not so many came in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = list(islice(filter(wanted, tuple(self.answers)), count))
            if len(found) == count:
                return found
            time.sleep(0.02)
        raise AssertionError(f"Not {count} such answers within {seconds} s; the last: {self.answers[-5:]}")

    def during(self, start: float, end: float) -> list[Answer]:
        """Return the answers to what was asked after `start` and answered before `end`."""
        return [answer for answer in self.answers if answer.sent_at >= start and answer.ended_at <= end]

    def acknowledged(self) -> set[str]:
        """Return the names of the items that the service says it has."""
        return {answer.name for answer in self.answers if answer.status == 201}

    def _go_on(self) -> None:
        with new_client(self.url) as client:
            while not self._stop.is_set():
                for request in (create, self.reads):
                    answer = request(client)
                    self.answers.append(answer)
                    time.sleep(0.02 if answer.status in {0, 503} else PAUSE_SECONDS)

"""Customers of the service, for Locust: `make load` while the service runs. The items they create stay in its database."""

from random import choice, randrange
from typing import Any
from uuid import uuid4

from locust import FastHttpUser, between, events, task

ITEMS = "/api/v1/items"
ONE_ITEM = f"{ITEMS}/[id]"
TAGS = ("garden", "kitchen", "steel", "wood", "sale")
BATCH_SIZE = 20
# Beyond, a customer forgets the oldest: what it reads again is what it has seen lately.
KNOWN_ITEMS = 200


@events.quitting.add_listener
def fail_where_nothing_was_asked(environment: Any, **_: object) -> None:
    """Let Locust end with exit code 1 where it did not come to any request."""
    if not environment.stats.total.num_requests:
        environment.process_exit_code = 1


def draft() -> dict[str, object]:
    """Return a new item whose name nobody has used."""
    return {
        "name": f"load {uuid4().hex}",
        "description": "A sturdy thing of the usual size, delivered within a week.",
        "price_cents": randrange(100, 100_000),
        "tags": [choice(TAGS), choice(TAGS)],
    }


class Customer(FastHttpUser):
    """Mostly reads; changes and deletes only what it has created itself."""

    wait_time = between(0.01, 0.1)

    def on_start(self) -> None:
        # The entity tag of each item by its path.
        self.known: dict[str, str] = {}
        for _ in range(3):
            self.create()

    @task(40)
    def read(self) -> None:
        """Read an item that is known."""
        self.client.get(self._any_path(), name=ONE_ITEM)

    @task(20)
    def read_unchanged(self) -> None:
        """Ask whether a known item has changed."""
        path = self._any_path()
        headers = {"If-None-Match": self.known[path]}
        self.client.get(path, headers=headers, name=f"{ONE_ITEM} If-None-Match")

    @task(15)
    def list_two_pages(self) -> None:
        """Read the newest items and those before them."""
        page = self.client.get(f"{ITEMS}?limit=20", name=f"{ITEMS}?limit=20").json()
        if page and page["next"]:
            self.client.get(f"{ITEMS}?limit=20&after={page['next']}", name=f"{ITEMS}?after=")

    @task(5)
    def list_by_tag(self) -> None:
        """Read the newest items with a tag."""
        self.client.get(f"{ITEMS}?tags={choice(TAGS)}", name=f"{ITEMS}?tags=")

    @task(10)
    def create(self) -> None:
        """Create an item."""
        answer = self.client.post(ITEMS, json=draft())
        if answer.status_code == 201:
            self.known[answer.headers["Location"]] = answer.headers["ETag"]
        while len(self.known) > KNOWN_ITEMS:
            self.known.pop(next(iter(self.known)))

    @task(5)
    def change(self) -> None:
        """Change the price of a known item."""
        path = self._any_path()
        answer = self.client.patch(path, json={"price_cents": randrange(100, 100_000)}, name=ONE_ITEM)
        if answer.status_code == 200:
            self.known[path] = answer.headers["ETag"]

    @task(3)
    def delete(self) -> None:
        """Delete a known item, unless it is the last one."""
        if len(self.known) > 1:
            path = self._any_path()
            del self.known[path]
            self.client.delete(path, name=ONE_ITEM)

    @task(1)
    def create_batch(self) -> None:
        """Create several items at once."""
        self.client.post(f"{ITEMS}/batch", json=[draft() for _ in range(BATCH_SIZE)])

    @task(1)
    def summarize(self) -> None:
        """Read all items in figures."""
        self.client.get(f"{ITEMS}/summary")

    def _any_path(self) -> str:
        return choice(list(self.known))

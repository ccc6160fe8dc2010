"""Customers of the service, for Locust: `make load` while the service runs. The rows they create stay in its database."""

from collections import deque
from random import choice
from typing import Any
from uuid import uuid4

from locust import FastHttpUser, between, events, task

# A customer forgets older rows: it reads again what it saw recently.
KNOWN_ROWS = 200
TAKEN = 409


@events.quitting.add_listener
def fail_without_requests(environment: Any, **_: object) -> None:
    """Let Locust end with exit code 1 if it sent no request."""
    if not environment.stats.total.num_requests:
        environment.process_exit_code = 1


class Customer(FastHttpUser):
    """Creates rows of every resource, and reads mostly."""

    wait_time = between(0.01, 0.1)

    def on_start(self) -> None:
        """Read from the OpenAPI document what can be created, and create one of each."""
        document = self.client.get("/openapi.json").json()
        schemas = document.get("components", {}).get("schemas", {})
        self.examples: dict[str, dict[str, Any]] = {}
        self.schemas: dict[str, dict[str, Any]] = {}
        for path, operations in document["paths"].items():
            content = operations.get("post", {}).get("requestBody", {}).get("content", {})
            reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            schema = schemas.get(reference.rpartition("/")[2], {})
            if schema.get("examples"):
                self.examples[path], self.schemas[path] = schema["examples"][0], schema["properties"]
        # The path and the entity tag of each row.
        self.known: deque[tuple[str, str]] = deque(maxlen=KNOWN_ROWS)

    @task(10)
    def create(self) -> None:
        """Create a row."""

"""Customers of the service, for Locust: `make load` while it runs. The rows they create stay in its database."""

from random import choice
from typing import Any
from uuid import uuid4

from locust import FastHttpUser, between, task


def some(known: Any) -> list[Any]:
    """Return one of these, or None if there are none."""
    return [choice(list(known))] if known else []


class Customer(FastHttpUser):
    """A customer that mostly reads, and changes and deletes only rows that it has created."""

    wait_time = between(0.01, 0.1)

    def on_start(self) -> None:
        """Read the resources from the OpenAPI document, and create some rows of each."""
        document = self.client.get("/openapi.json").json()
        schemas = document.get("components", {}).get("schemas", {})
        self.drafts: dict[str, Any] = {}
        for path, operations in document["paths"].items():
            content = operations.get("post", {}).get("requestBody", {}).get("content", {})
            name = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
            self.drafts |= {path: schemas[name]} if "examples" in schemas.get(name, {}) else {}
        # Entity tags by the path of a resource, then of a row; the resources that fields refer to.
        self.rows: dict[str, dict[str, str]] = {path: {} for path in self.drafts}
        self.targets: dict[tuple[str, str], str] = {}
        self.unique: set[str] = set()  # a response has named them
        for path, draft in self.drafts.items():
            expanded = schemas.get(draft["title"].replace("Draft", "Expanded"), {"properties": {}})
            for relation, schema in expanded["properties"].items():
                found = [at for at in self.rows if f"/{self.drafts[at]['title'][:-5]}'" in str(schema)]
                self.targets[path, f"{relation}_id"] = next(iter(found), "")
        for path in 3 * list(self.drafts):
            self.create(path)

    def create(self, path: str) -> None:
        """Create a row, unless it needs another that does not exist yet."""
        draft = dict(self.drafts[path]["examples"][0])
        for field in draft:
            if (path, field) in self.targets:
                known = some(self.rows.get(self.targets[path, field], ()))
                draft[field] = known[0].rpartition("/")[2] if known else None
            elif field in self.unique:
                draft[field] = str(uuid4())
        if any(draft[field] is None for field in self.drafts[path].get("required", ())):
            return
        with self.client.post(path, json=draft, catch_response=True) as response:
            if response.status_code == 409:
                self.unique.add(response.json()["field"])
                response.success()
            elif response.ok:
                self.rows[path][response.headers["Location"]] = response.headers["ETag"]

    @task(8)
    def read(self) -> None:
        """Read the newest rows, and one row twice, the second time with its entity tag."""
        self.client.get("/health/live")
        for path in some(self.drafts):
            self.client.get(f"{path}?limit=20", name=f"{path}?limit=20")
            for row, tag in some(self.rows[path].items()):
                self.client.get(row, name=f"{path}/[id]")
                self.client.get(row, headers={"If-None-Match": tag}, name=f"{path}/[id] If-None-Match")

    @task(2)
    def write(self) -> None:
        """Create a row, change one, and delete it if nothing can refer to it."""
        for path in some(self.drafts):
            self.create(path)
            example, fixed = self.drafts[path]["examples"][0], {field for _, field in self.targets}
            change = {name: example[name] for name in example.keys() - fixed - self.unique}
            for row in some(self.rows[path]):
                self.client.patch(row, json=change, name=f"{path}/[id]")
                if path not in self.targets.values():
                    del self.rows[path][row]
                    self.client.delete(row, name=f"{path}/[id]")

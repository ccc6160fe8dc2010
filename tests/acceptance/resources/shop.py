"""The resources of a running service, as a client that knows only the answer `resources` uses them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.acceptance.resources.grammar import Field, Resource
from tests.acceptance.resources.values import Json, is_kept, valid
from tests.acceptance.service import Service, body_of, must, must_answer

Row = dict[str, Any]
EVERYTHING: Mapping[str, str] = {}
MADE_BY_THE_SERVICE = ("id", "created_at", "updated_at")


@dataclass
class Shop:
    """All resources of a service."""

    service: Service
    resources: Mapping[str, Resource]
    _referred: dict[str, Row] = field(default_factory=dict)

    def rows(self, resource: Resource) -> Rows:
        """Return the rows of a resource."""
        return Rows(self, resource)

    def of(self, plural: str) -> Rows:
        """Return the rows of the resource with this plural."""
        return self.rows(self.resources[plural])

    def referred(self, plural: str) -> Row:
        """Return a row that tests may refer to, and that none deletes."""
        if plural not in self._referred:
            self._referred[plural] = self.of(plural).create_least()
        return self._referred[plural]

    def references_to(self, plural: str) -> Iterator[tuple[Resource, Field]]:
        """Yield each field that refers to rows of the resource with this plural."""
        for resource in self.resources.values():
            yield from ((resource, each) for each in resource.references if each.of == plural)


@dataclass(frozen=True)
class Rows:
    """The rows of one resource."""

    shop: Shop
    resource: Resource

    @property
    def service(self) -> Service:
        """The service that has them."""
        return self.shop.service

    # --- Bodies ---------------------------------------------------------------------------------------------

    def value(self, field: Field) -> Json:
        """Return a valid value; a reference is to a row that exists, a unique one to a new row."""
        if field.kind != "ref":
            return valid(field)
        referred = self.shop.of(field.of).create_least() if field.is_unique else self.shop.referred(field.of)
        return referred["id"]

    def draft(self, **fields: Json) -> Row:
        """Return a new row as a client sends it, every field with a value.

        Only a unique reference to rows of this resource is null: for each, another row would be created.
        """
        left = [each for each in self.resource.fields if each.name not in fields]
        made = {each.name: None if self._is_inward(each) else self.value(each) for each in left}
        return made | fields

    def _is_inward(self, field: Field) -> bool:
        return field.kind == "ref" and field.is_unique and field.of == self.resource.plural

    def least_draft(self, **fields: Json) -> Row:
        """Return a new row as a client sends it, without what may be left out."""
        required = [each for each in self.resource.fields if each.is_required and each.name not in fields]
        return {each.name: self.value(each) for each in required} | fields

    # --- Requests -------------------------------------------------------------------------------------------

    def post(self, body: Json) -> httpx2.Response:
        """Send a new row."""
        return self.service.send_json("POST", self.resource.path, body)

    def create(self, **fields: Json) -> Row:
        """Create a row with a value in every field."""
        return self._created(self.draft(**fields))

    def create_with(self, field: Field) -> Row:
        """Create a row that has a value in every field, and in this one in any case."""
        return self.create(**{field.name: self.value(field)})

    def create_least(self, **fields: Json) -> Row:
        """Create a row without what may be left out."""
        return self._created(self.least_draft(**fields))

    def _created(self, draft: Row) -> Row:
        row: Row = body_of(self.post(draft), 201, f"{draft} is created")
        return row

    def get(
        self, row_id: str, query: Mapping[str, str] | None = None, if_none_match: str | None = None
    ) -> httpx2.Response:
        """Ask for one row."""
        headers = {} if if_none_match is None else {"If-None-Match": if_none_match}
        return self.service.send("GET", f"{self.resource.path}/{row_id}", params=query, headers=headers)

    def read(self, row_id: str, **query: str) -> Row:
        """Return one row."""
        row: Row = body_of(self.get(row_id, query), 200, "a row can be read")
        return row

    def patch(self, row_id: str, changes: Json, if_match: str | None = None) -> httpx2.Response:
        """Send a change."""
        content, headers = json.dumps(changes).encode(), {"Content-Type": "application/json"}
        headers |= {} if if_match is None else {"If-Match": if_match}
        return self.service.send("PATCH", f"{self.resource.path}/{row_id}", content=content, headers=headers)

    def delete(self, row_id: str, if_match: str | None = None) -> httpx2.Response:
        """Ask to delete a row."""
        headers = {} if if_match is None else {"If-Match": if_match}
        return self.service.send("DELETE", f"{self.resource.path}/{row_id}", headers=headers)

    def batch(self, drafts: Json) -> httpx2.Response:
        """Send many new rows."""
        return self.service.send_json("POST", f"{self.resource.path}/batch", drafts)

    def get_page(self, **query: Json) -> httpx2.Response:
        """Ask for a page."""
        return self.service.send("GET", self.resource.path, params=query)

    def page(self, **query: Json) -> Row:
        """Return a page."""
        answer = self.get_page(**query)
        page: Row = body_of(answer, 200, f"a page is returned for {query}")
        must(page.keys() == {"items", "next"}, "a page has exactly `items` and `next`", answer)
        return page

    def walk(self, query: Mapping[str, str] = EVERYTHING, limit: int = 100) -> list[Row]:
        """Return the rows of all pages."""
        rows: list[Row] = []
        after: dict[str, str] = {}
        while True:
            page = self.page(limit=limit, **query, **after)
            must_be = f"only the last page of {query} is not full"
            assert page["next"] is None or len(page["items"]) == limit, must_be
            rows += page["items"]
            if page["next"] is None:
                return rows
            after = {"after": page["next"]}

    def newest(self) -> list[Row]:
        """Return the row that was created last, nothing if there is none."""
        rows: list[Row] = self.page(limit=1)["items"]
        return rows

    def exported(self) -> list[Row]:
        """Return the lines of the export."""
        answer = must_answer(
            self.service.send("GET", f"{self.resource.path}/export"), 200, "rows are exported"
        )
        media_type = answer.headers["Content-Type"].partition(";")[0]
        must(media_type == "application/x-ndjson", "the export is application/x-ndjson", answer)
        must(answer.content.endswith(b"\n") or not answer.content, "every line of the export ends", answer)
        return [json.loads(line) for line in answer.content.split(b"\n")[:-1]]

    def summary(self) -> httpx2.Response:
        """Ask for the summary."""
        return self.service.send("GET", f"{self.resource.path}/summary")

    # --- What must hold -------------------------------------------------------------------------------------

    def must_keep(self, sent: Row, answer: httpx2.Response) -> None:
        """Fail unless the row in the answer has what was sent."""
        row = answer.json()
        for each in self.resource.fields:
            if each.name in sent:
                kept = is_kept(each, sent[each.name], row[each.name])
                must(kept, f"{self.resource.plural}.{each.name} keeps {sent[each.name]!r}", answer)

    def must_show(self, row: Row) -> None:
        """Fail unless reading the row shows just this, within the time that a read may be stale."""
        promise = f"a read of {self.resource.plural} shows the row as it is now"
        self.service.within_bound(lambda: self.get(row["id"]).json() == row, promise)

    def must_be_gone(self, row: Row) -> None:
        """Fail unless the row can neither be read nor listed."""
        promise = f"a deleted row of {self.resource.plural} cannot be read"
        self.service.within_bound(lambda: self.get(row["id"]).status_code == 404, promise)
        assert row["id"] not in ids(self.walk()), f"a deleted row of {self.resource.plural} is not listed"


def ids(rows: Sequence[Row]) -> list[str]:
    """Return the ids of rows."""
    return [row["id"] for row in rows]


def must_blame(answer: httpx2.Response, place: list[str | int], promise: str) -> None:
    """Fail unless the request was refused with 422, for what is at this place and for nothing else."""
    must_answer(answer, 422, promise)
    places = [error["loc"][: len(place)] for error in answer.json().get("errors", [])]
    must(bool(places) and all(each == place for each in places), f"{promise}, and {place} is named", answer)

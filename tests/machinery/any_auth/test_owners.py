"""Owned resources: rows of others do not exist for a caller, whatever the database, the cache and the route."""

from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.folders import RESOURCE as FOLDERS
from app.folders.models import FolderDraft
from app.forge.auth.authenticator import Authenticator
from app.forge.auth.caller import Caller
from app.forge.resource import Collection
from app.forge.store import Document
from app.papers import RESOURCE as PAPERS
from app.settings import Settings
from tests.callers import SCOPES

AXES: tuple[str, ...] = ("database", "mongodb_driver", "cache", "serializer")

ALL = frozenset({"folders:all", "papers:all"})
CALLERS = {
    "alice": SCOPES,
    "bob": SCOPES,
    # Unless it is escaped, it looks like the beginning of a row of alice.
    'alice","title":"hers': SCOPES,
    "overseer": SCOPES | ALL,
    "of-papers": SCOPES | {"papers:all"},
    "of-folders": SCOPES | {"folders:all"},
}


@pytest.fixture(scope="module", autouse=True)
def _identified() -> None:
    """Let requests send their credentials."""


class Numbered:
    """Verifies tokens that are the number of a caller."""

    async def verify(self, credentials: str) -> tuple[Caller, float]:
        """Return the caller."""
        subject = list(CALLERS)[int(credentials)]
        return Caller(subject, CALLERS[subject], "tests"), monotonic() + 60


@pytest.fixture
def guarded(app: FastAPI, settings: Settings, _empty_database: None) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        client.app_state["authenticator"] = Authenticator(Numbered(), settings)
        yield client


class As(NamedTuple):
    """Requests of one caller."""

    client: TestClient
    subject: str

    def send(self, method: str, path: str, **options: Any) -> Any:
        number = list(CALLERS).index(self.subject)
        headers = {"Authorization": f"Bearer {number}", **options.pop("headers", {})}
        return self.client.request(method, f"/api/v1/{path}", headers=headers, **options)

    def folder(self, title: str, **fields: Any) -> dict[str, Any]:
        created = self.send("POST", "folders", json={"title": title, **fields})
        assert created.status_code == 201, created.text
        row: dict[str, Any] = created.json()
        return row

    def paper(self, folder: dict[str, Any], **fields: Any) -> dict[str, Any]:
        draft = {"folder_id": folder["id"], "pages": 1, **fields}
        created = self.send("POST", "papers", json=draft)
        assert created.status_code == 201, created.text
        row: dict[str, Any] = created.json()
        return row

    def titles(self, **query: str) -> list[str]:
        return [row["title"] for row in self.send("GET", "folders", params=query).json()["items"]]


@pytest.fixture
def alice(guarded: TestClient) -> As:
    return As(guarded, "alice")


@pytest.fixture(params=["bob", 'alice","title":"hers', "of-papers"])
def other(guarded: TestClient, request: pytest.FixtureRequest) -> As:
    return As(guarded, request.param)


@pytest.fixture
def overseer(guarded: TestClient) -> As:
    return As(guarded, "overseer")


def test_a_row_belongs_to_the_caller_who_created_it(alice: As, other: As, overseer: As) -> None:
    for caller in (alice, other, overseer):
        assert caller.folder(f"of {caller.subject}")["owner"] == caller.subject


def test_a_cached_row_is_not_served_to_another(alice: As, other: As, overseer: As) -> None:
    path = f"folders/{alice.folder('hers')['id']}"
    for _ in range(3):
        assert alice.send("GET", path).status_code == 200
        assert overseer.send("GET", path).status_code == 200
        assert other.send("GET", path).status_code == 404
    assert "etag" not in other.send("GET", path).headers


def test_the_owner_is_served_from_the_cache(alice: As, overseer: As) -> None:
    path = f"folders/{alice.folder('hers')['id']}"
    first, *rest = [each.send("GET", path).headers.get("x-cache") for each in (alice, alice, overseer)]
    assert (first, rest) in [("miss", ["hit", "hit"]), (None, [None, None])]


@pytest.mark.parametrize("subject", ["alice", "overseer"])
def test_a_change_by_anyone_is_seen_by_the_owner(alice: As, subject: str) -> None:
    path = f"folders/{alice.folder('hers')['id']}"
    assert alice.send("GET", path).json()["title"] == "hers"
    changed = As(alice.client, subject).send("PATCH", path, json={"title": "renamed"})
    assert (changed.status_code, changed.json()["owner"]) == (200, "alice")
    assert alice.send("GET", path).content == changed.content
    assert As(alice.client, subject).send("DELETE", path).status_code == 204
    assert alice.send("GET", path).status_code == 404


@pytest.mark.parametrize("tag", [None, "known", "*"])
def test_a_row_of_another_is_neither_read_nor_changed_nor_deleted(
    alice: As, other: As, tag: str | None
) -> None:
    row = alice.folder("hers")
    path = f"folders/{row['id']}"
    etag = alice.send("GET", path, headers={"Accept-Encoding": "identity"}).headers["etag"]
    value = etag if tag == "known" else tag
    read = {} if value is None else {"If-None-Match": value}
    write = {} if value is None else {"If-Match": value}
    assert other.send("GET", path, headers=read).status_code == 404
    for body in ({}, {"title": "theirs"}):
        assert other.send("PATCH", path, json=body, headers=write).status_code == 404
    assert other.send("DELETE", path, headers=write).status_code == 404
    assert alice.send("GET", path).json() == row


def test_a_refused_delete_leaves_what_refers_to_the_row(alice: As, other: As) -> None:
    folder = alice.folder("hers")
    paper = alice.paper(folder)
    assert other.send("DELETE", f"folders/{folder['id']}").status_code == 404
    assert alice.send("GET", f"papers/{paper['id']}").status_code == 200


def test_pages_exports_and_summaries_have_the_rows_of_the_caller(alice: As, overseer: As) -> None:
    bob = As(alice.client, "bob")
    for number in range(3):
        alice.folder(f"a{number}", labels=["red", "blue"])
        bob.folder(f"b{number}", labels=["red"])
    assert (alice.titles(), bob.titles()) == (["a2", "a1", "a0"], ["b2", "b1", "b0"])
    assert (alice.titles(labels="red"), bob.titles(labels="blue")) == (["a2", "a1", "a0"], [])
    assert overseer.titles(labels="red") == ["b2", "a2", "b1", "a1", "b0", "a0"]
    page = alice.send("GET", "folders", params={"limit": 2}).json()
    assert alice.titles(after=page["next"]) == ["a0"]
    assert bob.send("GET", "folders/export").text.count("\n") == 3
    assert overseer.send("GET", "folders/export").text.count("\n") == 6
    counts = [{"value": "blue", "count": 3}, {"value": "red", "count": 3}]
    assert alice.send("GET", "folders/summary").json() == {"count": 3, "labels": counts}
    assert bob.send("GET", "folders/summary").json() == {"count": 3, "labels": counts[1:]}
    assert overseer.send("GET", "folders/summary").json()["count"] == 6


def test_summaries_have_figures_of_own_rows(alice: As) -> None:
    bob = As(alice.client, "bob")
    for caller, pages in ((alice, 1), (alice, 3), (bob, 9)):
        folder = caller.folder(f"{caller.subject} {pages}")
        caller.paper(
            folder, pages=pages, price=f"{pages}.50", state="final", signed=pages > 2, marks=[str(pages)]
        )
    found = alice.send("GET", "papers/summary").json()
    assert found["pages"] == {"min": 1, "max": 3, "mean": 2.0}
    assert found["price"] == {"min": "1.50", "max": "3.50", "mean": "2.50"}
    assert found["state"] == [{"value": "final", "count": 2}]
    assert found["signed"] == [{"value": False, "count": 1}, {"value": True, "count": 1}]
    assert found["marks"] == [{"value": "1", "count": 1}, {"value": "3", "count": 1}]


def test_a_batch_belongs_to_its_caller(alice: As, other: As) -> None:
    assert alice.send("POST", "folders/batch", json=[{"title": "a"}, {"title": "b"}]).status_code == 201
    assert {row["owner"] for row in alice.send("GET", "folders").json()["items"]} == {"alice"}
    assert other.titles() == []


def test_a_row_of_another_cannot_be_referred_to(alice: As, other: As) -> None:
    hers, theirs = alice.folder("hers"), other.folder("theirs")
    paper = other.paper(theirs)
    draft = {"folder_id": hers["id"], "pages": 1}
    good = {"folder_id": theirs["id"], "pages": 1}
    for answer, place in (
        (other.send("POST", "papers", json=draft), ["body", "folder_id"]),
        (other.send("PATCH", f"papers/{paper['id']}", json=draft), ["body", "folder_id"]),
        (other.send("POST", "papers/batch", json=[good, draft]), ["body", 1, "folder_id"]),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["loc"]) == (422, place)
    assert len(other.send("GET", "papers", params={"folder_id": theirs["id"]}).json()["items"]) == 1
    # Rows of a table that is not owned are there for all.
    item = other.send("POST", "items", json={"name": "Desk", "price_cents": 1}).json()
    assert alice.paper(hers, item_id=item["id"])["item_id"] == item["id"]


def test_a_row_of_another_is_not_expanded(alice: As, overseer: As) -> None:
    bob, of_papers = As(alice.client, "bob"), As(alice.client, "of-papers")
    hers = alice.folder("hers")
    mine = alice.paper(hers)
    # Only a caller who sees both can make one refer to the other.
    crossed = overseer.send("PATCH", f"papers/{mine['id']}", json={"folder_id": bob.folder("his")["id"]})
    assert crossed.status_code == 200
    for query in ({"expand": "folder"}, {"expand": "folder,source,item"}):
        assert alice.send("GET", f"papers/{mine['id']}", params=query).json()["folder"] is None
        (listed,) = alice.send("GET", "papers", params=query).json()["items"]
        assert listed["folder"] is None
        assert overseer.send("GET", f"papers/{mine['id']}", params=query).json()["folder"]["title"] == "his"
        # The scope to see all papers does not show all folders.
        assert of_papers.send("GET", f"papers/{mine['id']}", params=query).json()["folder"] is None
        (seen,) = of_papers.send("GET", "papers", params=query).json()["items"]
        assert seen["folder"] is None
    own = bob.paper(bob.folder("his too"))
    read = bob.send("GET", f"papers/{own['id']}", params={"expand": "folder"})
    assert read.json()["folder"]["owner"] == "bob"


def test_the_scope_to_see_all_is_of_one_resource(alice: As) -> None:
    of_papers, of_folders = As(alice.client, "of-papers"), As(alice.client, "of-folders")
    hers = alice.folder("hers")
    paper = alice.paper(hers)
    assert (of_papers.titles(), of_folders.titles()) == ([], ["hers"])
    assert of_papers.send("GET", f"papers/{paper['id']}").status_code == 200
    assert of_folders.send("GET", f"papers/{paper['id']}").status_code == 404
    # A folder that one sees can be referred to.
    assert of_folders.paper(hers)["owner"] == "of-folders"


def test_responses_about_owned_rows_are_private(alice: As) -> None:
    path = f"folders/{alice.folder('hers')['id']}"
    for each in (path, "folders", "folders/export", "folders/summary"):
        assert alice.send("GET", each).headers["cache-control"] in ("private, no-cache", "no-store")


def test_a_value_that_another_has_is_taken(alice: As, other: As) -> None:
    alice.folder("hers")
    assert other.send("POST", "folders", json={"title": "hers"}).status_code == 409


class Noting(Collection[Any, Any]):
    """Rules that an owner has changed."""

    noted: list[str]

    async def get(self, row_id: Any, expand: Any = ()) -> Document:
        """Note the read."""
        self.noted.append(str(row_id))
        return await super().get(row_id, expand)


def test_rules_of_an_owner_are_kept_for_each_caller(alice: As) -> None:
    state = alice.client.app_state
    plain = state["folders"]
    state["folders"] = rules = Noting(FOLDERS.table, plain.store, plain.database)
    rules.noted = []
    row = alice.folder("hers")
    assert alice.send("GET", f"folders/{row['id']}").status_code == 200
    assert As(alice.client, "bob").send("GET", f"folders/{row['id']}").status_code == 404
    assert rules.noted == [row["id"], row["id"]]


@pytest.mark.anyio
async def test_rows_that_are_created_without_a_caller_belong_to_no_one(app: FastAPI) -> None:
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        row_id, document = await state["folders"].create(FolderDraft(title="of no one"))
        assert b'"owner":""' in document.body
        own = state["folders"].of("alice", frozenset({"folders"}))
        with pytest.raises(Exception, match=str(row_id)):
            await own.get(row_id)


def test_tables_know_that_they_are_owned() -> None:
    for resource in (FOLDERS, PAPERS):
        assert resource.table.is_owned
        assert resource.table.columns[0].name == "owner"

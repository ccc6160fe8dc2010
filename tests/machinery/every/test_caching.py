"""Every response has Cache-Control, and the header of a route is kept."""

from importlib.util import find_spec
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.types import Receive, Scope, Send

from app.forge.http.caching import entity_tag, is_known
from app.forge.http.middleware import RequestIdMiddleware

AXES: tuple[str, ...] = ("cache", "app_compression")

ITEMS = "/api/v1/items"
SAID = [
    {"Cache-Control": "public, max-age=60", "Vary": "X-Tenant"},
    {"Cache-Control": "no-store"},
    {"Cache-Control": ""},
    {"Cache-Control": "max-age=1", "ETag": '"1"'},
    {"Expires": "Thu, 01 Jan 2037 00:00:00 GMT"},
]
# Callers may see different rows.
OF_RESOURCES = "no-cache" if find_spec("app.forge.auth") is None else "private, no-cache"


def caching_of(answer: Any) -> list[str]:
    return [value for name, value in answer.headers.multi_items() if name == "cache-control"]


@pytest.fixture(scope="module")
def own(running: TestClient, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """Return a client of the service with routes that its owner added."""
    app = running.app
    assert isinstance(app, FastAPI)
    folder = tmp_path_factory.mktemp("static")
    (folder / "file.txt").write_text("x")
    app.mount("/static", StaticFiles(directory=folder))

    @app.get("/said/{number}")
    async def read_said(number: int) -> Response:
        return Response("x" * 2_000, headers=SAID[number])

    @app.get("/said-on-the-way/{number}")
    def read_said_by_fastapi(number: int, response: Response) -> str:
        response.headers.update(SAID[number])
        return "x" * 2_000

    @app.get("/silent")
    async def read_silent() -> Response:
        return Response("x")

    @app.get("/silent/streamed")
    async def read_silent_stream() -> StreamingResponse:
        return StreamingResponse(iter(["x"]))

    @app.get("/silent/redirect")
    async def read_silent_redirect() -> Response:
        return RedirectResponse("/", 301)

    @app.get("/silent/serialized")
    async def read_silent_json() -> dict[str, int]:
        return {"x": 1}

    @app.get("/validated")
    async def read_validated(request: Request) -> Response:
        known = is_known(request.scope, '"1"')
        return Response("" if known else "x", 304 if known else 200, {} if known else {"ETag": '"1"'})

    @app.get("/broken")
    async def read_broken() -> Response:
        raise RuntimeError

    return running


@pytest.mark.parametrize("path", ["/said", "/said-on-the-way"])
@pytest.mark.parametrize("number", range(len(SAID)))
def test_cache_control_of_a_route_is_kept(own: TestClient, path: str, number: int) -> None:
    answer = own.get(f"{path}/{number}", headers={"Accept-Encoding": "identity"})
    said = SAID[number]
    assert caching_of(answer) == [value for name, value in said.items() if name == "Cache-Control"]
    assert answer.headers.get("expires") == said.get("Expires")
    assert said.get("Vary", "") in answer.headers.get("vary", "")


@pytest.mark.parametrize(
    "path",
    [
        *[
            "/silent",
            "/silent/streamed",
            "/silent/redirect",
            "/silent/serialized",
            "/health/live",
            "/nowhere",
        ],
        *[f"{ITEMS}/export", f"{ITEMS}/summary", f"{ITEMS}/not-an-id", "/metrics", "/broken"],
    ],
)
def test_a_response_without_cache_control_is_no_store(own: TestClient, path: str) -> None:
    assert caching_of(own.get(path, follow_redirects=False)) == ["no-store"]


@pytest.mark.parametrize("condition", [{}, {"If-None-Match": '"1"'}])
def test_a_response_with_a_validator_is_no_cache(own: TestClient, condition: dict[str, str]) -> None:
    assert caching_of(own.get("/validated", headers=condition)) == ["no-cache"]
    assert caching_of(own.get("/static/file.txt")) == ["no-cache"]


def test_header_names_in_capitals_are_recognized() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"Cache-Control", b"max-age=9")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})

    assert caching_of(TestClient(RequestIdMiddleware(app)).get("/")) == ["max-age=9"]


def test_pages_have_the_same_entity_tag_until_they_change(client: TestClient) -> None:
    client.post(ITEMS, json={"name": "one", "price_cents": 1}).raise_for_status()
    first, second = client.get(ITEMS), client.get(ITEMS)
    assert first.headers["etag"] == second.headers["etag"]
    assert caching_of(first) == [OF_RESOURCES]
    known = client.get(ITEMS, headers={"If-None-Match": first.headers["etag"]})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", first.headers["etag"])
    client.post(ITEMS, json={"name": "two", "price_cents": 1}).raise_for_status()
    changed = client.get(ITEMS, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, len(changed.json()["items"])) == (200, 2)
    assert client.get(f"{ITEMS}?limit=1").headers["etag"] != changed.headers["etag"]


def test_an_entity_tag_depends_on_every_byte() -> None:
    bodies = [b"", b"a", b"b", b"ab", b"ba", *(b"x" * 50_000 + bytes([last]) for last in range(256))]
    assert len({entity_tag(body) for body in bodies}) == len(bodies)

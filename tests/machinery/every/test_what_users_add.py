"""Middleware and handlers that are added to the service see every request, on both paths."""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from fastapi.testclient import TestClient
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.forge.service import Service
from app.items import routes as items

AXES: tuple[str, ...] = ("cache", "app_compression")

ITEMS = "/api/v1/items"
ID = "01890a5d-ac96-774b-bcce-b302099a8057"
EVERYTHING = [
    ("GET", ITEMS),
    ("POST", ITEMS),
    ("GET", f"{ITEMS}/{ID}"),
    ("HEAD", f"{ITEMS}/{ID}"),
    ("PATCH", f"{ITEMS}/{ID}"),
    ("DELETE", f"{ITEMS}/{ID}"),
    ("POST", f"{ITEMS}/batch"),
    ("GET", f"{ITEMS}/export"),
    ("GET", f"{ITEMS}/summary"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/nowhere"),
]

pytestmark = pytest.mark.usefixtures("_empty_database")


@contextmanager
def serving(app: FastAPI, **options: Any) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False, **options) as client:
        yield client


class Refusing:
    """A middleware that refuses every request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await PlainTextResponse("Who are you?", 401)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def count_of(client: TestClient, labels: str) -> float:
    found = re.search(
        rf"^http_server_request_duration_seconds_count\{{{re.escape(labels)}\}} (\S+)$", client.get("/metrics").text, re.MULTILINE
    )
    return float(found[1]) if found else 0.0


def test_no_request_bypasses_a_middleware_that_refuses(app: FastAPI) -> None:
    app.add_middleware(Refusing)
    with serving(app) as client:
        for method, path in EVERYTHING:
            answer = client.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["x-request-id"], (method, path)


def test_no_request_bypasses_a_middleware_of_the_constructor() -> None:
    app = Service(middleware=[Middleware(Refusing)])

    @app.get("/direct")
    async def read_directly() -> Response:
        return Response()

    assert TestClient(app).get("/direct").status_code == 401


def test_cors_headers_are_on_every_response(app: FastAPI) -> None:
    app.add_middleware(CORSMiddleware, allow_origins=["https://shop.example"])
    with serving(app, headers={"Origin": "https://shop.example"}) as client:
        for method, path in EVERYTHING:
            answer = client.request(method, path)
            allowed = answer.headers.get("access-control-allow-origin")
            assert allowed == "https://shop.example", (method, path)


def test_a_middleware_has_the_request_id_and_its_errors_are_handled_and_counted(app: FastAPI) -> None:
    seen = []

    @app.middleware("http")
    async def fail(request: Request, _call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        seen.append(request.state.request_id)
        if request.url.path == "/metrics":
            return await _call_next(request)
        raise RuntimeError("a secret")

    labels = 'http_request_method="GET",http_response_status_code="500",http_route="unmatched"'
    with serving(app) as client:
        before = count_of(client, labels)
        answer = client.get(ITEMS, headers={"X-Request-ID": "mine"})
        assert count_of(client, labels) == before + 1
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"
    assert "mine" in seen


@pytest.mark.parametrize("key", [Exception, 500])
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "def"])
def test_a_handler_of_all_errors_is_called_on_both_paths(
    app: FastAPI, key: int | type[Exception], is_async: bool
) -> None:
    def answer(_request: Request, error: Exception) -> Response:
        return JSONResponse({"handled": str(error)}, 500)

    async def answer_asynchronously(request: Request, error: Exception) -> Response:
        return answer(request, error)

    @app.get("/direct")
    async def fail_directly() -> Response:
        raise ValueError("directly")

    @app.get("/other")
    async def fail_otherwise() -> None:
        raise ValueError("otherwise")

    app.add_exception_handler(key, answer_asynchronously if is_async else answer)
    with serving(app) as client:
        answers = [client.get("/direct"), client.get("/other")]
    assert [each.json() for each in answers] == [{"handled": "directly"}, {"handled": "otherwise"}]
    assert all(each.status_code == 500 and each.headers["x-request-id"] for each in answers)


def test_removing_or_prepending_a_route_takes_effect_at_once(app: FastAPI) -> None:
    async def read_other(_request: Request) -> Response:
        return PlainTextResponse("in front")

    with serving(app) as client:
        assert client.get(ITEMS).status_code == 200
        app.router.add_route(ITEMS, read_other)
        app.router.routes.insert(0, app.router.routes.pop())
        assert client.get(ITEMS).text == "in front"
        app.router.routes.clear()
        assert client.get(ITEMS).status_code == 404


def created(client: TestClient, prefix: str) -> str:
    answer = client.post(prefix + ITEMS, json={"name": "a", "price_cents": 1})
    assert answer.status_code == 201
    location: str = answer.headers["location"]
    return location


def test_the_location_of_an_item_is_right_under_another_prefix(app: FastAPI) -> None:
    app.include_router(items.router, prefix="/v 2")
    with serving(app) as client:
        location = created(client, "/v 2")
        assert location.startswith(f"/v%202{ITEMS}/")
        assert client.get(location).status_code == 200


def test_the_location_of_an_item_is_right_under_a_mount(app: FastAPI) -> None:
    lifespan: Any = app.router.lifespan_context
    outer = FastAPI(lifespan=lambda _outer: lifespan(app))
    outer.mount("/inner", app)
    with serving(outer) as client:
        location = created(client, "/inner")
        assert location.startswith(f"/inner{ITEMS}/")
        assert client.get(location).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/shop"], ids=["stripped by the proxy", "left by the proxy"])
def test_the_location_of_an_item_is_right_behind_a_proxy_with_a_prefix(app: FastAPI, prefix: str) -> None:
    with serving(app, root_path="/shop") as client:
        location = created(client, prefix)
        assert location.startswith(f"/shop{ITEMS}/")
        assert client.get(location).status_code == 200


def test_all_methods_of_a_path_are_allowed_under_prefixes_and_mounts(app: FastAPI) -> None:
    app.include_router(items.router, prefix="/v2")
    outer = FastAPI()
    outer.mount("/inner", app)
    with serving(app) as client, serving(app, root_path="/shop") as proxied, serving(outer) as mounted:
        answers = [
            client.put(ITEMS),
            client.put(f"/v2{ITEMS}"),
            proxied.put(f"/shop{ITEMS}"),
            mounted.put(f"/inner{ITEMS}"),
        ]
    assert [each.status_code for each in answers] == [405] * 4
    assert [each.headers["allow"] for each in answers] == ["GET, HEAD, POST"] * 4


@pytest.mark.parametrize(
    "path",
    [path for method, path in EVERYTHING if method == "GET" and path not in ("/metrics", "/health/ready")],
)
def test_head_returns_the_headers_of_get_without_a_body(client: TestClient, path: str) -> None:
    get, head = client.get(path), client.head(path)
    varying = {"x-request-id", "server-timing"}
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert {name: head.headers[name] for name in head.headers if name not in varying} == {
        name: get.headers[name] for name in get.headers if name not in varying
    }


def test_head_works_for_routes_of_the_user_and_is_not_documented(app: FastAPI) -> None:
    @app.get("/added")
    async def read_added(request: Request) -> dict[str, str]:
        return {"method": request.method}

    app.add_api_route("/sent", read_added, methods=["POST"])
    with serving(app) as client:
        answer = client.head("/added")
        assert (answer.status_code, answer.headers["content-length"]) == (200, "16")
        assert client.head("/sent").headers["allow"] == "POST"
        assert count_of(client, 'http_request_method="HEAD",http_response_status_code="200",http_route="/added"') >= 1
        assert not any("head" in path for path in client.get("/openapi.json").json()["paths"].values())


def test_a_route_for_head_itself_is_called_even_if_one_for_get_is_declared_before(app: FastAPI) -> None:
    app.add_api_route("/both", lambda: "get", methods=["GET"])
    app.add_api_route("/both", lambda: Response(headers={"X-From": "head"}), methods=["HEAD"])
    with serving(app) as client:
        assert client.head("/both").headers["x-from"] == "head"


async def test_a_stream_is_cancelled_when_its_head_is_sent() -> None:
    app, produced, sent = Service(), [], []

    @app.get("/stream")
    async def stream() -> Response:
        from fastapi.responses import StreamingResponse

        async def lines() -> Any:
            for number in range(1_000_000):
                produced.append(number)
                yield b"line\n"

        return StreamingResponse(lines())

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "HEAD", "path": "/stream", "query_string": b"", "headers": []}
    await app(scope, receive, send)
    assert [(each["type"], each.get("body")) for each in sent] == [
        ("http.response.start", None),
        ("http.response.body", b""),
    ]
    assert len(produced) < 10


@pytest.mark.parametrize("host", ["evil.example", "evil.example:1", "a b"])
def test_a_redirect_does_not_repeat_the_host_of_the_request(client: TestClient, host: str) -> None:
    answer = client.get(f"{ITEMS}/?limit=3", headers={"Host": host}, follow_redirects=False)
    docs = client.get("/docs", headers={"Host": host})
    assert (answer.status_code, answer.headers["location"]) == (307, f"{ITEMS}?limit=3")
    assert "evil" not in docs.text


def test_a_redirect_of_the_user_is_unchanged(app: FastAPI) -> None:
    from fastapi.responses import RedirectResponse

    @app.get("/away")
    async def read_away() -> RedirectResponse:
        return RedirectResponse("https://elsewhere.example/there")

    with serving(app, follow_redirects=False) as client:
        assert client.get("/away").headers["location"] == "https://elsewhere.example/there"


def test_requests_are_counted_under_the_whole_path_of_their_route(app: FastAPI, tmp_path: Any) -> None:
    (tmp_path / "a.txt").write_text("a")
    inner = FastAPI()
    inner.add_api_route("/{name}", lambda name: name)
    other = APIRouter(prefix="/things")
    other.add_api_route("/{thing}", lambda thing: thing)
    app.include_router(other, prefix="/v2/{tenant}")
    app.mount("/static/{version}", StaticFiles(directory=tmp_path))
    app.mount("/inner", inner)
    counted = {
        "/v2/me/things/1": ("/v2/{tenant}/things/{thing}", 200),
        "/v2/me/things/": ("unmatched", 404),
        "/static/1/a.txt": ("/static/{version}/{path}", 200),
        "/static/1/none": ("/static/{version}/{path}", 404),
        "/inner/a": ("/inner/{path}", 200),
        "/inner/a/b": ("/inner/{path}", 404),
        "/openapi.json": ("/openapi.json", 200),
        f"{ITEMS}?limit=1": (ITEMS, 200),
    }
    with serving(app) as client:
        for path, (route, status) in counted.items():
            labels = f'http_request_method="GET",http_response_status_code="{status}",http_route="{route}"'
            before = count_of(client, labels)
            client.get(path)
            assert count_of(client, labels) == before + 1, path

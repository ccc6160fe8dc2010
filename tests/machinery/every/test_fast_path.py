"""The fast path to an endpoint returns the same as FastAPI's path."""

from collections.abc import Callable, Iterator
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import BaseModel

from app.forge.http.fast_path.tree import RouteTree
from app.forge.service import Service

AXES: tuple[str, ...] = ("serializer", "app_compression")

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class Thing(BaseModel):
    """The body."""

    name: str
    size: int = 1


router = APIRouter(prefix="/things")


@router.get("/newest")
async def read_newest() -> Response:
    return Response("newest")


@router.get("/{thing_id}")
async def read_thing(thing_id: UUID, request: Request, limit: Annotated[int, Query(ge=1)] = 20) -> Response:
    return Response(
        f"{thing_id!r} {limit} {request.headers.get('accept')} {request.scope['route'].path_format}"
    )


@router.get("")
async def list_things(after: Annotated[str | None, Query()] = None, name: str = "all") -> Response:
    return Response(f"{after!r} {name!r}")


@router.post("")
async def create_thing(thing: Thing, request: Request) -> Response:
    return Response(f"{thing!r} {await request.body()!r}", 201)


@router.get("/{thing_id}/owner")
async def read_owner(thing_id: str, who: str) -> Response:
    raise HTTPException(418, f"{thing_id} {who}")


DIRECT = {read_newest, read_thing, list_things, create_thing, read_owner}


def plain(*routers: APIRouter) -> FastAPI:
    """Return an application of these routers without the fast path."""
    return including(FastAPI(), *routers)


def service(*routers: APIRouter) -> FastAPI:
    """Return an application of these routers with the fast path."""
    return including(Service(), *routers)


def including(app: FastAPI, *routers: APIRouter) -> FastAPI:
    """Return the application with these routers."""
    for each in routers:
        app.include_router(each)
    return app


def goes_direct(app: FastAPI, method: str, path: str) -> bool:
    """Return whether a request takes the fast path."""
    return RouteTree(app.router).find(method, path) is not None


@pytest.fixture
def clients() -> Iterator[tuple[TestClient, TestClient]]:
    """Yield a client of FastAPI's path and one of the fast path."""
    with TestClient(plain(router)) as own, TestClient(service(router)) as short:
        yield own, short


REQUESTS: list[dict[str, Any]] = [
    {"method": "GET", "url": f"/things/{ID}"},
    {"method": "GET", "url": f"/things/{ID}?limit=3"},
    {"method": "GET", "url": f"/things/{ID}?limit=0"},
    {"method": "GET", "url": f"/things/{ID}?limit=x&limit=4"},
    {"method": "GET", "url": "/things/no-uuid"},
    {"method": "GET", "url": "/things/newest"},
    {"method": "GET", "url": "/things"},
    {"method": "GET", "url": "/things/"},
    {"method": "GET", "url": "/things?after=&name=%C3%A9&other=1"},
    {"method": "GET", "url": "/things/a%2Fb/owner?who=me"},
    {"method": "GET", "url": "/things/a/owner?who=me"},
    {"method": "GET", "url": "/things/a/owner"},
    {"method": "GET", "url": "/things//owner"},
    {"method": "PUT", "url": "/things"},
    {"method": "POST", "url": "/things", "json": {"name": "a", "size": 2}},
    {"method": "POST", "url": "/things", "json": {"name": "a", "size": "2"}},
    {"method": "POST", "url": "/things", "json": {"size": []}},
    {"method": "POST", "url": "/things", "json": None},
    {"method": "POST", "url": "/things", "content": b'{"name": "a"}'},
    {"method": "POST", "url": "/things", "content": b"{", "headers": {"content-type": "application/json"}},
    {"method": "POST", "url": "/things", "content": b"", "headers": {"content-type": "application/json"}},
    {"method": "POST", "url": "/things", "content": b"null", "headers": {"content-type": "application/json"}},
    {
        "method": "POST",
        "url": "/things",
        "content": b'{"name": "a"}',
        "headers": {"content-type": "application/vnd.thing+json; charset=utf-8"},
    },
    {
        "method": "POST",
        "url": "/things",
        "content": b"[" * 100_000,
        "headers": {"content-type": "application/json"},
    },
    *[
        {"method": "POST", "url": "/things", "content": body, "headers": {"content-type": "application/json"}}
        for body in [
            b'{"name": "a", "name": "b"}',
            b'{"name": "\\ud83d\\ude00 \\ud800"}',
            b'{"name": "\xff"}',
            b'{"name": "a", "other": [NaN, -Infinity, 1e400]}',
            b'{"name": "a", "size": 123456789012345678901234567890}',
            b'{"name": "a", "size": ' + b"9" * 5_000 + b"}",
            b'\xef\xbb\xbf{"name": "a"}',
            '{"name": "a"}'.encode("utf-16"),
        ]
    ],
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request_: str(request_)[:100])
def test_both_paths_respond_alike(clients: tuple[TestClient, TestClient], request_: dict[str, Any]) -> None:
    own, short = (client.request(**request_) for client in clients)
    assert (short.status_code, short.content, short.headers) == (own.status_code, own.content, own.headers)


@pytest.mark.parametrize("endpoint", DIRECT, ids=lambda endpoint: endpoint.__name__)
def test_endpoints_that_return_responses_are_reached_directly(endpoint: Callable[..., Any]) -> None:
    app = service(router)
    route = next(
        route for route in router.routes if isinstance(route, APIRoute) and route.endpoint is endpoint
    )
    assert goes_direct(app, min(route.methods or ()), route.path)


def test_the_items_are_reached_directly(app: FastAPI) -> None:
    assert goes_direct(app, "GET", f"/api/v1/items/{ID}")
    assert goes_direct(app, "GET", "/api/v1/items")
    assert goes_direct(app, "POST", "/api/v1/items")
    assert goes_direct(app, "PATCH", f"/api/v1/items/{ID}")


@pytest.mark.parametrize(
    "path", ["/{anything}/{else_}", "/things/{name:path}", "/{rest:path}", "/things/{n}x"]
)
def test_a_route_declared_earlier_keeps_its_precedence(path: str) -> None:
    earlier = APIRouter()

    @earlier.get(path)
    async def read_earlier() -> str:
        return "earlier"

    own, short = plain(earlier, router), service(earlier, router)
    for asked in ("/things/newest", f"/things/{ID}", "/things/ax"):
        assert TestClient(short).get(asked).content == TestClient(own).get(asked).content


def test_a_mounted_application_declared_earlier_keeps_its_precedence() -> None:
    mounted = service()
    mounted.mount("/things", plain())
    mounted.include_router(router)
    assert TestClient(mounted).get("/things/newest").status_code == 404


def test_a_custom_route_class_is_not_skipped() -> None:
    class Closed(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Any]:
            async def answer(_request: Request) -> Response:
                return Response(status_code=403)

            return answer

    closed = APIRouter(route_class=Closed)
    closed.get("/closed")(read_newest)
    app = service(closed)
    assert TestClient(app).get("/closed").status_code == 403


def test_a_tool_that_replaces_fastapi_s_functions_sees_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    handle = APIRoute.handle

    async def handle_watched(route: APIRoute, *arguments: Any) -> None:
        seen.append(route.path)
        await handle(route, *arguments)

    monkeypatch.setattr(APIRoute, "handle", handle_watched)
    assert TestClient(service(router)).get("/things/newest").content == b"newest"
    assert seen == ["/things/newest"]


def test_a_route_declared_after_the_first_request_is_found() -> None:
    app = service(router)
    with TestClient(app) as client:
        assert client.get("/later").status_code == 404
        app.get("/later")(read_newest)
        assert client.get("/later").content == b"newest"


def test_routes_are_found_below_another_path() -> None:
    outer = FastAPI()
    outer.mount("/v1", service(router))
    assert TestClient(outer).get("/v1/things/newest").content == b"newest"

"""Routes with dependencies take the fast path, and behave as in FastAPI."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    Security,
    routing,
)
from fastapi.security import HTTPBearer, SecurityScopes
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.types import Message, Receive, Scope, Send

from app.forge.http.fast_path.tree import RouteTree
from app.forge.service import Service

AXES: tuple[str, ...] = ("serializer", "app_compression")

# What dependencies noted, in order.
seen: list[Any] = []


class Colour(Enum):
    """Values that are chosen by name."""

    RED = "red"
    BLUE = "blue"


class Filters(BaseModel):
    """Query parameters."""

    size: int = 1
    tags: list[str] = []


class Sent(Response):
    """A response that notes when it is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen.append("sent")
        await super().__call__(scope, receive, send)


@dataclass
class Page:
    """Query parameters of a class."""

    limit: int = 20


async def agent(request: Request, user_agent: Annotated[str, Header()]) -> str:
    seen.append("agent")
    return f"{user_agent} {request.method}"


async def user(agent: Annotated[str, Depends(agent)], x_user: Annotated[str, Header()] = "none") -> str:
    seen.append("user")
    return f"{x_user} with {agent}"


def settings() -> str:
    seen.append("settings")
    return "settings"


async def caller(
    scopes: SecurityScopes, bearer: Annotated[Any, Depends(HTTPBearer())], user: Annotated[str, Depends(user)]
) -> str:
    if "write" in scopes.scopes and bearer.credentials != "writer":
        raise HTTPException(403, scopes.scope_str)
    return f"{bearer.credentials} {scopes.scopes} {user}"


async def connection() -> AsyncIterator[str]:
    seen.append("open")
    try:
        yield "connection"
    except ValueError as error:
        seen.append(repr(error))
        raise
    finally:
        seen.append("closed")


def transaction(connection: Annotated[str, Depends(connection)]) -> Iterator[str]:
    seen.append("begin")
    yield f"transaction of {connection}"
    seen.append("end")


async def tagged(response: Response, tasks: BackgroundTasks) -> None:
    response.headers["X-Tagged"] = "yes"
    tasks.add_task(seen.append, "task")


router = APIRouter()


@router.get("/nested")
async def nested(
    user: Annotated[str, Depends(user)],
    again: Annotated[str, Depends(user)],
    agent: str = Depends(agent),  # noqa: FAST002 (the older style)
) -> Response:
    return Response(f"{user} {again} {agent}")


@router.get("/uncached")
async def uncached(
    first: Annotated[str, Depends(user)],
    second: str = Depends(user, use_cache=False),  # noqa: FAST002 (the older style)
) -> Response:
    return Response(f"{first} {second}")


@router.get("/thread")
async def thread(settings: Annotated[str, Depends(settings)], page: Annotated[Page, Depends()]) -> Response:
    return Response(f"{settings} {page}")


@router.get("/read")
async def read(caller: Annotated[str, Security(caller, scopes=["read"])]) -> Response:
    return Response(caller)


@router.get("/write")
async def write(caller: Annotated[str, Security(caller, scopes=["write", "read"])]) -> Response:
    return Response(caller)


@router.get("/yield")
async def yielding(transaction: Annotated[str, Depends(transaction)], fails: bool = False) -> Response:
    seen.append("endpoint")
    if fails:
        raise ValueError("failed")
    return Sent(transaction)


@router.get("/tagged", dependencies=[Depends(tagged)])
async def tagging(response: Response) -> Response:
    return Response(response.headers["X-Tagged"])


@router.get("/values")
async def values(  # noqa: PLR0917 (as many as there are kinds)
    filters: Annotated[Filters, Query()],
    x_count: Annotated[int, Header(ge=1)],
    x_many: Annotated[list[str], Header()],
    session: Annotated[str, Cookie(min_length=2)],
    colour: Colour = Colour.RED,
    order: Literal["up", "down"] = "up",
    day: date | None = None,
    old: int = Query(3),  # noqa: FAST002 (the older style)
    numbers: Annotated[set[int] | None, Query(alias="n")] = None,
) -> Response:
    return Response(repr((filters, x_count, x_many, session, colour, order, day, old, numbers)))


PATHS = ["/nested", "/uncached", "/thread", "/read", "/write", "/yield", "/tagged", "/values"]
GOOD = {"x-count": "2", "x-many": "one", "cookie": "session=abc"}
WRITER = {"authorization": "Bearer writer"}
REQUESTS: list[tuple[str, dict[str, str]]] = [
    *[(path, {}) for path in PATHS],
    ("/nested", {"x-user": "ann", "x_user": "underscored"}),
    ("/read", WRITER),
    ("/write", WRITER),
    ("/write", {"authorization": "Bearer reader"}),
    ("/yield?fails=x", {}),
    ("/yield?fails=1", {}),
    ("/thread?limit=x", {}),
    ("/values", GOOD),
    ("/values?colour=blue&order=down&day=2026-01-31&old=4&n=1&n=2&size=3&tags=a&tags=b", GOOD),
    ("/values?colour=green&order=left&day=2026-02-30&old=x&n=1&n=y&size=z", GOOD | {"cookie": "session=a"}),
    ("/values", GOOD | {"x-count": "0", "cookie": "other=1"}),
]


def answered(app: FastAPI, path: str, headers: dict[str, str]) -> Any:
    """Return the response to a request, and what dependencies noted."""
    app.include_router(router)
    seen.clear()
    response = TestClient(app, raise_server_exceptions=False).get(path, headers=headers)
    return response.status_code, response.content, seen[:]


@pytest.mark.parametrize(("path", "headers"), REQUESTS)
def test_a_route_with_dependencies_behaves_as_in_fastapi(path: str, headers: dict[str, str]) -> None:
    own, direct = FastAPI(), Service()

    expected, found = answered(own, path, headers), answered(direct, path, headers)

    assert found == expected
    assert RouteTree(direct.router).find("GET", path.partition("?")[0])


def test_a_dependency_that_is_used_twice_is_called_once() -> None:
    _, _, noted = answered(Service(), "/nested", {})

    assert noted == ["agent", "user"]


def test_a_dependency_ends_after_the_response_in_reverse_order() -> None:
    _, _, noted = answered(Service(), "/yield", {})

    assert noted == ["open", "begin", "endpoint", "sent", "end", "closed"]


def test_dependencies_of_the_app_and_the_router_refuse_requests() -> None:
    async def refuse() -> None:
        raise HTTPException(403)

    for app, options in [
        (Service(dependencies=[Depends(refuse)]), {}),
        (Service(), {"dependencies": [Depends(refuse)]}),
    ]:
        app.include_router(router, **options)  # type: ignore[arg-type]

        assert TestClient(app).get("/thread").status_code == 403


def test_an_override_applies_from_the_next_request_until_it_is_removed() -> None:
    app = Service()
    app.include_router(router)
    client = TestClient(app)
    before = client.get("/thread").text

    app.dependency_overrides[settings] = lambda: "overridden"
    during = client.get("/thread").text
    app.dependency_overrides.clear()

    assert during == before.replace("settings", "overridden")
    assert client.get("/thread").text == before


def test_a_handler_reads_the_body_of_the_request_that_failed() -> None:
    app = Service()
    bodies = []

    @app.post("/failing")
    async def failing(filters: Filters) -> Response:  # noqa: ARG001 (its body is read)
        raise LookupError

    @app.exception_handler(LookupError)
    async def handle(request: Request, _error: Exception) -> Response:
        bodies.append(await request.body())
        return Response()

    asyncio.run(app(*posting("/failing", b'{"size": 2}')))

    assert bodies == [b'{"size": 2}']


def posting(path: str, body: bytes) -> tuple[Scope, Receive, Send]:
    """Return the ASGI arguments of a request whose body can be received once."""
    messages: list[Message] = [{"type": "http.request", "body": body}]

    async def receive() -> Message:
        return messages.pop()

    async def send(_message: Message) -> None: ...

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    return scope, receive, send


def test_a_tool_that_replaces_how_dependencies_are_solved_sees_every_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = []
    solve = vars(routing)["solve_dependencies"]

    async def solve_watched(**arguments: Any) -> Any:
        watched.append(arguments["request"].url.path)
        return await solve(**arguments)

    monkeypatch.setattr(routing, "solve_dependencies", solve_watched)
    answered(Service(), "/nested", {})

    assert "/nested" in watched

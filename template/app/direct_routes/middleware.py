"""The middleware that answers what it can by itself."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.direct_routes.route import NotDirect
from app.direct_routes.tree import Node, tree_of

Respond = Callable[[Response, Scope, Receive, Send], Awaitable[None]]


async def _as_it_is(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    await response(scope, receive, send)


class DirectRoutesMiddleware:
    """Calls endpoints directly, and sends what they return through `respond`.

    Middleware that is added before it sees only the other requests.
    """

    def __init__(self, app: ASGIApp, respond: Respond = _as_it_is) -> None:
        self.app = app
        self._respond = respond
        # Made for the first request, when all routes are declared. One that is declared later comes after them.
        self._root: Node | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # FastAPI's own way is the one that tells OpenTelemetry, and knows what is mounted where.
        if scope["type"] != "http" or "fastapi.telemetry" in scope or scope.get("root_path"):
            await self.app(scope, receive, send)
            return
        self._root = self._root or tree_of(scope["app"])
        found = self._root.find(scope["method"], scope["path"])
        if found is None:
            await self.app(scope, receive, send)
            return
        direct, scope["path_params"] = found
        scope["route"], scope["endpoint"] = direct.route, direct.endpoint
        request = Request(scope, receive, send)
        try:
            arguments = await direct.arguments(request)
            response = await direct.endpoint(**arguments)
            await self._respond(response, scope, receive, send)
        except NotDirect:
            await self.app(scope, _replayed(request, receive), send)
        except Exception as error:
            await _answer_error(error, scope, receive, send)


def _replayed(request: Request, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body, read before or not, and then what follows."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": await request.body(), "more_body": False}

    return receive_again


async def _answer_error(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the exception handlers of the application answer, as they do on FastAPI's own way."""

    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    app: FastAPI = scope["app"]
    await ExceptionMiddleware(fail, app.exception_handlers)(scope, receive, send)

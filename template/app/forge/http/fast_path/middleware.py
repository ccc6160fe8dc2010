"""The middleware that calls endpoints directly."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import request_response
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from app.forge.http.fast_path.route import DirectRoute, UseFastAPI
from app.forge.http.fast_path.tree import RouteTree
from app.forge.http.routing import set_route_template

# Sends a response, or an ASGI app in its place.
Respond = Callable[[Any, Scope, Receive, Send], Awaitable[None]]


async def respond_plainly(response: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the response unchanged."""
    await response(scope, receive, send)


class FastPathMiddleware:
    """Calls endpoints directly, and sends what they return through `respond`.

    `app.forge.service` places it inside all other middleware except compression. The scope, exception handlers and
    background tasks behave as in FastAPI.
    """

    def __init__(
        self,
        app: ASGIApp,
        router: APIRouter,
        handlers: Mapping[Any, ExceptionHandler],
        respond: Respond = respond_plainly,
    ) -> None:
        self.app = app
        self._router = router
        self._tree = RouteTree(router)
        self._handlers = handlers
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Only FastAPI reports to OpenTelemetry and resolves mounts.
        if scope["type"] != "http" or "fastapi.telemetry" in scope or scope.get("root_path"):
            await self.app(scope, receive, send)
            return
        found = self._tree.find(scope["method"], scope["path"])
        if found is None:
            await self.app(scope, receive, send)
            return
        direct, scope["path_params"] = found
        scope["route"], scope["endpoint"] = direct.route, direct.endpoint
        scope.setdefault("router", self._router)
        request = Request(scope, receive, send)
        response: Any
        try:
            body = await direct.read_body(request)
            if direct.yields:
                response = self._with_exits(direct, body)
                receive = receive if direct.plan.body_field is None else _replayed(request, receive)
            else:
                response = await direct.respond(request, body)
        except UseFastAPI as why:
            del scope["route"], scope["endpoint"], scope["path_params"]
            await self.app(scope, _replayed(request, receive, why.body_error), send)
            return
        except Exception as error:
            response = _raising(error)
        # A plain response needs exception handlers only if sending fails, so they are left out until then.
        is_plain = type(response).__call__ is Response.__call__ and response.background is None
        if not is_plain and not direct.yields:
            response = self._handled(response, request)
        try:
            await self._respond(response, scope, receive, send)
        except Exception as error:
            if not isinstance(response, Response):
                raise
            raising = self._handled(_raising(error, is_started=True), request)
            await raising(scope, receive, _send_nothing)
        finally:
            set_route_template(scope, direct.path)

    def _handled(self, app: ASGIApp, request: Request) -> ASGIApp:
        # Twice, as in FastAPI, so exceptions raised by a handler are handled too. Handlers get the endpoint's request,
        # which may have read the body.
        async def handled_once(scope: Scope, receive: Receive, send: Send) -> None:
            await wrap_app_handling_exceptions(app, request)(scope, receive, send)

        return ExceptionMiddleware(handled_once, self._handlers)

    def _with_exits(self, direct: DirectRoute, body: Any) -> ASGIApp:
        """Return an ASGI app that responds, and then runs the code after `yield` of dependencies."""

        async def respond(request: Request) -> Response:
            return await direct.respond(request, body)

        # FastAPI's own exit stacks and exception handling.
        return ExceptionMiddleware(request_response(respond), self._handlers)


def _raising(error: Exception, *, is_started: bool = False) -> ASGIApp:
    """Return an ASGI app that raises the error inside the exception handlers."""

    async def fail(_scope: Scope, _receive: Receive, send: Send) -> None:
        if is_started:
            await send({"type": "http.response.start"})
        raise error

    return fail


async def _send_nothing(_message: Message) -> None:
    """Discard a message, because the client has already received its response."""


def _replayed(request: Request, receive: Receive, error: Exception | None = None) -> Receive:
    """Return a `receive` that yields the whole body again, or raises the error that reading it raised."""
    is_given = False

    async def receive_again() -> Message:
        nonlocal is_given
        if error is not None:
            raise error
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": await request.body(), "more_body": False}

    return receive_again

"""The middleware that calls endpoints directly."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import FastAPIError
from starlette._exception_handler import wrap_app_handling_exceptions
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, ExceptionHandler, Message, Receive, Scope, Send

from app.forge.http.fast_path.route import DirectRoute, UseFastAPI, read_json
from app.forge.http.fast_path.tree import RouteTree
from app.forge.http.routing import set_route_template

# Sends a response, or an ASGI app in its place.
Respond = Callable[[Any, Scope, Receive, Send], Awaitable[None]]

# FastAPI's words for a dependency that catches an error and does not raise it again.
SWALLOWED = (
    "Response not awaited. There's a high chance that the application code is raising an exception and a dependency "
    "with yield has a block with a bare except, or a block with except Exception, and is not raising the exception "
    "again. Read more about it in the docs: "
    "https://fastapi.tiangolo.com/tutorial/dependencies/dependencies-with-yield/#dependencies-with-yield-and-except"
)


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
        if found is None or found[0].is_overridden():
            await self.app(scope, receive, send)
            return
        direct, scope["path_params"] = found
        scope["route"], scope["endpoint"] = direct.route, direct.endpoint
        scope.setdefault("router", self._router)
        request = Request(scope, receive, send)
        try:
            body = None if direct.plan.body_field is None else await read_json(request)
        except UseFastAPI as why:
            del scope["route"], scope["endpoint"], scope["path_params"]
            await self.app(scope, _replayed(request, receive, why.body_error), send)
            return
        run = self._run_with_exits if direct.yields else self._run
        try:
            await run(direct, request, body, send)
        finally:
            set_route_template(scope, direct.path)

    async def _run(self, direct: DirectRoute, request: Request, body: Any, send: Send) -> None:
        scope, receive = request.scope, request.receive
        response: Any
        try:
            response = await direct.respond(request, body)
        except Exception as error:
            response = _raising(error)
        # A plain response needs exception handlers only if sending fails, so they are left out until then.
        if not _is_plain(response) or response.background is not None:
            await self._respond(self._handled(response, request), scope, receive, send)
            return
        try:
            await self._respond(response, scope, receive, send)
        except Exception as error:
            await self._handled(_raising(error, is_started=True), request)(scope, receive, _send_nothing)

    async def _run_with_exits(self, direct: DirectRoute, request: Request, body: Any, send: Send) -> None:
        """Respond, and run the code after `yield` of dependencies, in the order of FastAPI's `request_response`."""
        scope, receive = request.scope, request.receive
        is_started = is_sent = False

        async def send_response(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_noted(message: Message) -> None:
                nonlocal is_started
                is_started = is_started or message["type"] == "http.response.start"
                await send(message)

            await response(scope, receive, send_noted)

        try:
            async with AsyncExitStack() as request_stack:
                scope["fastapi_inner_astack"] = request_stack
                async with AsyncExitStack() as function_stack:
                    scope["fastapi_function_astack"] = function_stack
                    response = await direct.respond(request, body)
                # The first thing that a plain response does is to start.
                is_started = _is_plain(response)
                await self._respond(response if is_started else send_response, scope, receive, send)
                is_sent = True
            if not is_sent:
                raise FastAPIError(SWALLOWED)
        except Exception as error:
            raising = self._handled(_raising(error, is_started=is_started), request)
            if is_started:
                await raising(scope, receive, _send_nothing)
            else:
                await self._respond(raising, scope, receive, send)

    def _handled(self, app: ASGIApp, request: Request) -> ASGIApp:
        # Twice, as in FastAPI, so exceptions raised by a handler are handled too. Handlers get the endpoint's request,
        # which may have read the body.
        async def handled_once(scope: Scope, receive: Receive, send: Send) -> None:
            await wrap_app_handling_exceptions(app, request)(scope, receive, send)

        return ExceptionMiddleware(handled_once, self._handlers)


def _is_plain(response: Any) -> bool:
    """Return True if the response consists of bytes, unlike streams and files."""
    return type(response).__call__ is Response.__call__


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

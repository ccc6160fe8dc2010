"""Middleware for every request: a request id, timing, and a limit on the body.

Plain ASGI, because `BaseHTTPMiddleware` costs more than the whole request.
"""

import logging
import re
from inspect import iscoroutinefunction
from secrets import token_hex
from time import perf_counter
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.forge.database import outages
from app.forge.errors import Unavailable
from app.forge.http.caching import NO_CACHE, say_what_caches_may_do
from app.forge.http.problems import CONTENT_TOO_LARGE, answer_unexpected_error, problem_response
from app.forge.http.websockets import serve_websocket
from app.forge.observability.logs import REQUEST_ID

logger = logging.getLogger(__name__)

ACCEPTED_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def request_header(scope: Scope, name: bytes) -> bytes | None:
    """Return the value of a request header, or None. `name` must be in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


class RequestIdMiddleware:
    """Adds a request id, timing and `Cache-Control` to responses. Logs unexpected errors and responds with 500."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        started_at = perf_counter()
        request_id = request_header(scope, b"x-request-id")
        if request_id is None or not ACCEPTED_REQUEST_ID.fullmatch(request_id):
            request_id = token_hex(16).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        REQUEST_ID.set(request_id.decode())
        if scope["type"] == "websocket":
            await serve_websocket(self.app, scope, receive, send)
            return
        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                status = message["status"]
                if not 200 <= status <= 599:
                    raise ValueError(
                        f"A response cannot have the status {status}: it must be between 200 and 599."
                    )
                answered = True
                timing = b"app;dur=%.3f" % ((perf_counter() - started_at) * 1_000)
                message["headers"] = headers = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id),
                    (b"server-timing", timing),
                ]
                if NO_CACHE not in headers:
                    say_what_caches_may_do(status, headers)
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:
            outage = _outage_behind(error) if answered else None
            if outage is not None:
                # The server closes the connection, because the response is incomplete, and logs that.
                outages.report(outage.dependency, outage)
                return
            # FastAPI's outermost layer may show the error; the server logs it and closes the connection.
            if answered or scope["app"].debug:
                raise
            logger.exception("Unexpected error")
            response = await unexpected_error_response(Request(scope), error)
            await response(scope, receive, send_with_id)


def _outage_behind(error: Exception) -> Unavailable | None:
    # Once the response has started, Starlette wraps errors that have a handler in another error, as its cause.
    for each in (error, error.__cause__):
        if isinstance(each, Unavailable):
            return each
    return None


async def unexpected_error_response(request: Request, error: Exception) -> Response:
    """Return the response of the app's handler for `Exception` or 500, or problem details if it has no handler."""
    # Like FastAPI, use the last one that was added.
    added = [each for key, each in request.app.exception_handlers.items() if key in (500, Exception)]
    handler: Any = [answer_unexpected_error, *added][-1]
    if iscoroutinefunction(handler):
        response: Response = await handler(request, error)
    else:
        response = await run_in_threadpool(handler, request, error)
    return response


class BodyLimitMiddleware:
    """Rejects bodies over the limit with 413. If `Content-Length` is over the limit, the body is not read at all.

    Starlette's own limit is not used: it responds with plain text and without a request id.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self._detail = f"The body is over the limit of {max_body_bytes} bytes."

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced, is_chunked = None, False
        for name, value in scope["headers"]:
            if name == b"content-length":
                announced = value
            elif name == b"transfer-encoding":
                is_chunked = True
        if announced is not None:
            # The server rejects a Content-Length that is not a number, and reads no more than that many bytes.
            if int(announced) > self.max_body_bytes:
                await self._refuse(scope, receive, send)
            else:
                await self.app(scope, receive, send)
        elif scope["method"] in BODY_METHODS:
            await self.app(scope, self._counting(receive), send)
        elif is_chunked:
            await self._read_before(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _counting(self, receive: Receive) -> Receive:
        received_bytes = 0

        async def receive_counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self.max_body_bytes:
                raise HTTPException(CONTENT_TOO_LARGE, self._detail)
            return message

        return receive_counted

    async def _read_before(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole body before calling the app, because endpoints for this method may never read it."""
        messages: list[Message] = []
        received_bytes, more_body = 0, True
        while more_body:
            message = await receive()
            messages.append(message)
            received_bytes += len(message.get("body", b""))
            if received_bytes > self.max_body_bytes:
                await self._refuse(scope, receive, send)
                return
            more_body = message.get("more_body", False)
        messages.reverse()

        async def receive_again() -> Message:
            return messages.pop() if messages else await receive()

        await self.app(scope, receive_again, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = problem_response(scope["state"]["request_id"], CONTENT_TOO_LARGE, self._detail)
        await response(scope, receive, send)

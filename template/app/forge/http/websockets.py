"""WebSockets: a request id, errors in a form that clients can read, and one log line per error."""

import logging
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from importlib.util import find_spec

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from app.forge.http.problems import problem_response

logger = logging.getLogger(__name__)

# Close codes: https://www.iana.org/assignments/websocket/websocket.xhtml
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013


class NoWebSocketLibrary(RuntimeError):
    """The app has a WebSocket route, but no WebSocket library is installed."""


def require_websocket_library(app: FastAPI) -> None:
    """Raise `NoWebSocketLibrary` if the app has a WebSocket route that Uvicorn cannot serve."""
    path = next(_websocket_paths(app.routes), None)
    if path is not None and not (find_spec("websockets") or find_spec("wsproto")):
        raise NoWebSocketLibrary(
            f"The WebSocket at {path} needs the package websockets, which is not installed. Add it to the "
            "dependencies in pyproject.toml, then run: make lock install"
        )


async def serve_websocket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a WebSocket. An exception in `app` becomes a response or a close code."""
    connection = _WebSocket(scope, receive, send)
    try:
        await app(scope, receive, connection.send)
    except WebSocketDisconnect:
        # The client disconnected, which endpoints need not handle.
        return
    except Exception:
        logger.exception("Unexpected error", extra={"request_id": connection.request_id})
        await connection.fail()


class _WebSocket:
    """Translates the messages of the app into those that the client receives."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.request_id: str = scope["state"]["request_id"]
        self._scope, self._receive, self._send = scope, receive, send
        self._is_accepted = self._is_over = False

    async def send(self, message: Message) -> None:
        """Send a message of the app with the request id, or its equivalent in the current state."""
        match message["type"]:
            case "websocket.accept":
                self._is_accepted = True
                await self._send(self._with_id(message))
            case "websocket.close" if not self._is_accepted:
                # For invalid parameters, FastAPI passes a list of errors as the reason.
                reason = message.get("reason")
                detail = reason if isinstance(reason, str) and reason else "The WebSocket was refused."
                await self._deny(HTTPStatus.FORBIDDEN, detail)
            case "websocket.close":
                self._is_over = True
                await self._send(message)
            case "websocket.http.response.start" if self._is_accepted:
                # It is too late for an HTTP response.
                await self._close(message["status"])
            case "websocket.http.response.start":
                self._is_over = True
                await self._send(self._with_id(message))
            case "websocket.http.response.body" if self._is_accepted:
                pass
            case _:
                await self._send(message)

    async def fail(self) -> None:
        """Report an unexpected error to the client, if the connection is still open."""
        if self._is_over:
            return
        if self._is_accepted:
            self._is_over = True
            await self._send({"type": "websocket.close", "code": INTERNAL_ERROR, "reason": self.request_id})
        else:
            await self._deny(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                "The service failed unexpectedly. The log has the reason under this request id.",
            )

    async def _close(self, status: int) -> None:
        self._is_over = True
        extra = {"request_id": self.request_id}
        logger.warning("A WebSocket was closed with an error, status %d.", status, extra=extra)
        code = POLICY_VIOLATION if status < 500 else INTERNAL_ERROR
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            code = TRY_AGAIN_LATER
        await self._send({"type": "websocket.close", "code": code, "reason": self.request_id})

    async def _deny(self, status: HTTPStatus, detail: str) -> None:
        self._is_over = True
        response = problem_response(self.request_id, status, detail)

        async def send_with_id(message: Message) -> None:
            await self._send(self._with_id(message) if message["type"].endswith(".start") else message)

        await response(self._scope, self._receive, send_with_id)

    def _with_id(self, message: Message) -> Message:
        headers = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        return {**message, "headers": headers}


def _websocket_paths(routes: Sequence[BaseRoute]) -> Iterator[str]:
    for context in iter_route_contexts(routes):
        route = context.original_route
        if isinstance(route, WebSocketRoute):
            yield context.path or "/"
        elif isinstance(route, Mount):
            yield from (route.path + path for path in _websocket_paths(route.routes or ()))

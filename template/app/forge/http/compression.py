"""Compressed responses: the encoding that a client prefers, their headers, and an immediate start of streams.

https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
"""

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

IDENTITY = "identity"
# Compressing less is not worth the time and the header.
MINIMUM_BYTES = 1_024
WITHOUT_BODY = frozenset({204, 205, 304})


@lru_cache(maxsize=128)
def preferred_encoding(accept_encoding: str, offered: tuple[str, ...]) -> str:
    """Return the offered encoding that the client prefers, or "identity".

    The first of equally preferred encodings wins. Identity wins only if the client explicitly rates it higher. It is
    also the fallback if the client accepts nothing that is offered, because any response is better than 406.
    """
    qualities = _qualities(accept_encoding)
    anything_else = qualities.get("*", 0.0)
    best = max(offered, key=lambda encoding: qualities.get(encoding, anything_else))
    quality = qualities.get(best, anything_else)
    return best if quality > 0 and quality >= qualities.get(IDENTITY, 0.0) else IDENTITY


def _qualities(accept_encoding: str) -> dict[str, float]:
    qualities = {}
    for item in accept_encoding.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        if name:
            qualities[name.removeprefix("x-")] = _quality(parameters)
    return qualities


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return _number(value.strip())
    return 1.0


def _number(text: str) -> float:
    # Invalid qualities count as 0, so "q=nan" and "q=2" cannot win.
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0


class AcceptEncodingMiddleware:
    """Reduces `Accept-Encoding` to the best encoding, and completes the headers of the response.

    The libraries ignore qualities: Starlette responds to `gzip;q=0` with gzip, and starlette-compress does not prefer
    the encoding with the higher quality.
    """

    def __init__(self, app: ASGIApp, offered: tuple[str, ...]) -> None:
        self.app = app
        self.offered = offered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        def send_completed(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                complete_headers(message["status"], message["headers"])
            return send(message)

        self._choose_encoding(scope)
        await self.app(scope, receive, send_completed)

    def _choose_encoding(self, scope: Scope) -> None:
        accepted = [value for name, value in scope["headers"] if name == b"accept-encoding"]
        if not accepted:
            return
        encoding = preferred_encoding(b",".join(accepted).decode("latin-1"), self.offered)
        others = [header for header in scope["headers"] if header[0] != b"accept-encoding"]
        # Modifies the scope instead of a copy, because outer middleware reads the matched route from it.
        scope["headers"] = [*others, (b"accept-encoding", encoding.encode())]


def complete_headers(status: int, raw_headers: list[tuple[bytes, bytes]]) -> None:
    """Complete `Vary` and `ETag` for a response that has an entity tag."""
    # Most responses need no change, and a dictionary is the fastest way to check.
    headers = dict(raw_headers)
    etag = headers.get(b"etag")
    if etag is None:
        return
    if status in (206, 304):
        # These must have the same Vary as the full response.
        if b"vary" in headers:
            MutableHeaders(raw=raw_headers).add_vary_header("Accept-Encoding")
        else:
            raw_headers.append((b"vary", b"Accept-Encoding"))
    elif b"content-encoding" in headers and not etag.startswith(b"W/"):
        # A strong tag promises identical bytes, so it is weakened, as Nginx does. If-None-Match still matches a weak
        # tag, so clients can revalidate in every encoding.
        MutableHeaders(raw=raw_headers)["etag"] = f"W/{etag.decode('latin-1')}"


class UnheldStreams:
    """Sends an empty first chunk, because compressing middleware holds back the headers until the first chunk."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self.app(scope, receive, send)
            return

        async def send_unheld(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start" and _is_streamed(message):
                await send({"type": "http.response.body", "body": b"", "more_body": True})

        await self.app(scope, receive, send_unheld)


def _is_streamed(start: Message) -> bool:
    """Return True if the response has a body of unknown length."""
    return b"content-length" not in dict(start["headers"]) and start["status"] not in WITHOUT_BODY


async def _send_response(scope: Scope, receive: Receive, send: Send) -> None:
    response: ASGIApp = scope["response"]
    await response(scope, receive, send)


class CompressedResponses:
    """Sends the responses of the fast path as the middleware would. Most are small and need not pass through it."""

    def __init__(self, compression: Callable[[ASGIApp], ASGIApp]) -> None:
        self._compressed = compression(_send_response)

    async def __call__(self, response: Any, scope: Scope, receive: Receive, send: Send) -> None:
        # A streamed response has no body yet.
        if len(getattr(response, "body", b"?" * MINIMUM_BYTES)) >= MINIMUM_BYTES:
            scope["response"] = response
            await self._compressed(scope, receive, send)
            return
        if response.status_code == 304:
            complete_headers(response.status_code, response.raw_headers)
        await response(scope, receive, send)

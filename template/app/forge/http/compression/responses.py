"""Compression for the fast path: small responses, which are most, skip the compressing middleware."""

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from app.forge.http.compression import MINIMUM_BYTES, CompressionMiddleware
from app.forge.http.compression.accept_encoding import complete_headers


async def _send_response(scope: Scope, receive: Receive, send: Send) -> None:
    response: ASGIApp = scope["response"]
    await response(scope, receive, send)


class CompressedResponses:
    """Sends a response or an ASGI app with the same result as `CompressionMiddleware`."""

    def __init__(self, compression: Callable[[ASGIApp], ASGIApp] = CompressionMiddleware) -> None:
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

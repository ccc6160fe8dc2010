"""Whole responses on their way out: the small ones, which are most, pass by the compressing layers."""

from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.compression import MINIMUM_BYTES, CompressionMiddleware


async def _send_response(scope: Scope, receive: Receive, send: Send) -> None:
    response: Response = scope["response"]
    await response(scope, receive, send)


class CompressedResponses:
    """Sends a response as `CompressionMiddleware` would let it pass."""

    def __init__(self, compression: Callable[[ASGIApp], ASGIApp] = CompressionMiddleware) -> None:
        self._compressed = compression(_send_response)

    async def __call__(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        # A streamed response has no body yet.
        if len(getattr(response, "body", b"?" * MINIMUM_BYTES)) >= MINIMUM_BYTES:
            scope["response"] = response
            await self._compressed(scope, receive, send)
            return
        if response.status_code == 304:
            # It has to say what the answer with a body would have said.
            response.raw_headers.append((b"vary", b"Accept-Encoding"))
        await response(scope, receive, send)

"""The access log: one line per request, if ACCESS_LOG is set.

Queries, headers and bodies are left out because they may hold secrets. /metrics counts requests at a much lower cost.
"""

import logging
from time import perf_counter
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger(__name__)

# The HTTP statuses of WebSocket handshakes.
WEBSOCKET_STATUSES = {"websocket.accept": 101, "websocket.close": 403}


class AccessLogMiddleware:
    """Logs each request and WebSocket when it ends, regardless of the log level."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        logger.setLevel(logging.INFO)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        started_at = perf_counter()
        status: int | None = None
        sent_bytes = 0

        async def send_counted(message: Message) -> None:
            nonlocal status, sent_bytes
            if status is None:
                status = message.get("status") or WEBSOCKET_STATUSES.get(message["type"])
            sent_bytes += len(message.get("body") or message.get("bytes") or message.get("text") or b"")
            await send(message)

        try:
            await self.app(scope, receive, send_counted)
        except Exception:
            status = status or 500
            raise
        finally:
            fields = _fields(scope) | {
                # None if the client disconnected before the response started.
                "status": status,
                "milliseconds": round((perf_counter() - started_at) * 1_000, 3),
                "bytes": sent_bytes,
            }
            logger.info("%s %s %s", fields["method"], fields["path"], status, extra=fields)


def _fields(scope: Scope) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "method": scope.get("method", "WEBSOCKET"),
        "path": scope["path"],
        "route": getattr(scope.get("route"), "path_format", None),
        "client": client[0] if client else None,
    }

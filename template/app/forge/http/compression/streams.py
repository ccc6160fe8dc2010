"""Immediate start of streams, which compressing middleware would otherwise delay."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WITHOUT_BODY = frozenset({204, 205, 304})


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

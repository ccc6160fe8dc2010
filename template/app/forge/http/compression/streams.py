"""Streamed answers, on their way into a compressing layer that would hold them back."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WITHOUT_BODY = frozenset({204, 205, 304})


class UnheldStreams:
    """Lets each streamed answer begin when it begins: compressing layers hold its headers until they see a chunk."""

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
    """Return whether there is a body whose length nobody knows yet."""
    return b"content-length" not in dict(start["headers"]) and start["status"] not in WITHOUT_BODY

"""Keeps responses that depend on the caller out of shared caches."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.forge.http.caching import NO_CACHE, RawHeaders

PRIVATE_NO_CACHE = (b"cache-control", b"private, no-cache")
# Each means that a shared cache may store the response.
SHARED = (b"public", b"s-maxage")


class PrivateResponsesMiddleware:
    """Makes the responses to identified callers `private`. Wraps the middleware that adds `Cache-Control`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_private(message: Message) -> None:
            if message["type"] == "http.response.start" and "caller" in scope["state"]:
                headers = message["headers"]
                if NO_CACHE in headers:
                    headers[headers.index(NO_CACHE)] = PRIVATE_NO_CACHE
                else:
                    message["headers"] = _private(headers)
            await send(message)

        await self.app(scope, receive, send_private)


def _private(headers: RawHeaders) -> RawHeaders:
    stated = [(name, value) for name, value in headers if name.lower() == b"cache-control"]
    others = [header for header in headers if header not in stated]
    directives = [each.strip() for _, value in stated for each in value.lower().split(b",")]
    kept = [each for each in directives if each and each.partition(b"=")[0] not in SHARED]
    if b"no-store" not in kept and b"private" not in kept:
        kept.insert(0, b"private")
    return [*others, (b"cache-control", b", ".join(kept))]

"""Additions to FastAPI's router: HEAD, relative redirects, and route templates for metrics."""

import asyncio
from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNMATCHED = "unmatched"
# For HEAD, a streamed response is ended after its headers, as if the client had disconnected. In later ASGI versions
# servers raise an error in `send` instead, which applications would log.
SPEC_VERSION_OF_DISCONNECTS = "2.3"


def url_path(request: Request) -> str:
    """Return the path of the request as the client sees it, including prefixes of mounts and proxies."""
    return _joined(request.scope.get("root_path", ""), request.scope["path"])


# A service has few paths with resources to create.
@lru_cache(100)
def _joined(root_path: str, path: str) -> str:
    root_path = root_path.rstrip("/")
    # Some servers include `root_path` in the path; proxies that strip it do not.
    is_complete = path == root_path or path.startswith(f"{root_path}/")
    return quote(path if is_complete else root_path + path)


def set_route_template(scope: Scope, template: str | None) -> None:
    """Store the path template of the route for outer middleware.

    It is stored in the state, which is shared even if middleware in between copied the scope.
    """
    scope.setdefault("state", {})["route_template"] = template or UNMATCHED


def route_template(scope: Scope) -> str:
    """Return the path template of the matched route, such as `/items/{item_id}`, or "unmatched"."""
    template: str = scope.get("state", {}).get("route_template", UNMATCHED)
    return template


def matched_path(scope: Scope) -> str | None:
    """Return the path template of the route that the router has chosen, or None."""
    route: BaseRoute | None = scope.get("route")
    # A route in an included router does not know the prefix, but its context does.
    context = scope.get("fastapi", {}).get("effective_route_context")
    chosen = context if getattr(context, "original_route", None) is route else route
    return getattr(chosen, "path_format", None)


def allowed_methods(router: APIRouter, scope: Scope) -> set[str]:
    """Return the methods of all routes with this path."""
    matching = [context for context, _ in _matching(router, scope)]
    return {method for context in matching for method in context.methods or ()}


def _matching(router: APIRouter, scope: Scope) -> Iterator[tuple[RouteContext, Match]]:
    # Matching modifies the scope, so it gets a copy.
    for context in iter_route_contexts(router.routes):
        match, _ = context.matches(dict(scope))
        if match != Match.NONE:
            yield context, match


class RoutingMiddleware:
    """Responds to HEAD like GET without the body, makes redirects relative, and stores the matched route template."""

    def __init__(self, app: ASGIApp, router: APIRouter) -> None:
        self.app = app
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        outside = {"root_path": scope.get("root_path", ""), "endpoint": scope.get("endpoint")}
        send = _relative_redirects(scope, send)
        try:
            if scope["method"] == "HEAD" and self._is_head_of_get(scope):
                await _respond_to_head(self.app, scope, receive, send)
            else:
                await self.app(scope, receive, send)
        finally:
            set_route_template(scope, self._template(scope, outside))

    def _is_head_of_get(self, scope: Scope) -> bool:
        routes = [context for context, match in _matching(self._router, scope) if match == Match.FULL]
        if any("HEAD" in (context.methods or ()) for context in routes):
            return False
        getting = _matching(self._router, {**scope, "method": "GET"})
        first = next((context for context, match in getting if match == Match.FULL), None)
        # A mounted app handles HEAD itself.
        return first is not None and bool(first.methods)

    def _template(self, scope: Scope, outside: dict[str, Any]) -> str | None:
        if scope.get("endpoint") is outside["endpoint"]:
            return None
        # A mount extends the root path, and leaves the route of the mounted app in the scope.
        if scope.get("route") is not None and scope.get("root_path", "") == outside["root_path"]:
            return matched_path(scope)
        found = list(_matching(self._router, {**scope, **outside}))
        full = (context.path_format for context, match in found if match == Match.FULL)
        return next(full, found[0][0].path_format if found else None)


def _relative_redirects(scope: Scope, send: Send) -> Send:
    """Return a `send` that removes scheme and host from the router's trailing-slash redirects.

    Both come from the request's headers, so a cache could otherwise store a redirect to an attacker's host.
    """

    endpoint = scope.get("endpoint")

    async def send_relative(message: Message) -> None:
        is_start = message["type"] == "http.response.start"
        if is_start and message["status"] == 307 and scope.get("endpoint") is endpoint:
            headers = message.get("headers", ())
            message["headers"] = [
                (name, _without_host(value) if name == b"location" else value) for name, value in headers
            ]
        await send(message)

    return send_relative


def _without_host(location: bytes) -> bytes:
    parts = urlsplit(location.decode("latin-1"))
    # Two leading slashes would be read as a host.
    path = "/" + parts.path.lstrip("/")
    return parts._replace(scheme="", netloc="", path=path).geturl().encode("latin-1")


async def _respond_to_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call the app with GET, and send only the status and headers of its response."""
    asgi = {**scope.get("asgi", {}), "spec_version": SPEC_VERSION_OF_DISCONNECTS}
    inner: MutableMapping[str, Any] = {**scope, "method": "GET", "asgi": asgi}
    is_read = False
    is_sent = asyncio.Event()

    def share() -> None:
        scope.update({key: value for key, value in inner.items() if key not in ("method", "asgi")})

    async def receive_until_sent() -> Message:
        nonlocal is_read
        if is_read:
            await is_sent.wait()
            return {"type": "http.disconnect"}
        message = await receive()
        is_read = not message.get("more_body", False)
        return message

    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            share()
            await send(message)
        elif is_sent.is_set():
            # Yield to the event loop, so the stream can be cancelled.
            await asyncio.sleep(0)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            is_sent.set()

    try:
        await app(inner, receive_until_sent, send_head)
    finally:
        share()

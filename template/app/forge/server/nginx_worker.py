"""A worker behind Nginx: one Uvicorn on a Unix socket, which tells Nginx how to treat each response."""

import re
from typing import TYPE_CHECKING

from app.forge.observability.logs import configure_logging
from app.forge.server.nginx_configuration import WORKER_BACKLOG
from app.forge.server.worker import closed, create_app, end_after

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nginx closes idle connections to the workers after 60 seconds (nginx.conf), so workers must keep them longer.
WORKER_KEEP_ALIVE_SECONDS = 75
CACHEABLE_STATUSES = frozenset({200, 301, 308, 404, 410})
MAX_AGE = re.compile(rb"(?:^|[,\s])(s-maxage|max-age)=(\d+)")
NOT_SHARED = re.compile(rb"(?:^|[,\s])(?:no-store|no-cache|private)(?:$|[=,\s])")


def serve_worker(descriptor: int, manager: int) -> None:
    """Serve requests from Nginx on this socket, with the settings from the environment. Does not return.

    `manager` is the end of a pipe that closes when the process that started this one exits.
    """
    # Imported lazily, so that the managing process can import this module.
    import uvicorn

    from app.settings import Settings

    configure_logging()
    settings = Settings()
    end_after(closed(manager), settings.graceful_timeout_seconds)
    uvicorn.run(
        "app.forge.server.nginx_worker:create_app_behind_nginx",
        factory=True,
        fd=descriptor,
        backlog=WORKER_BACKLOG,
        http="app.forge.server.protocol:HttpProtocol",
        access_log=False,
        log_config=None,
        # Only Nginx can reach the socket.
        forwarded_allow_ips="*",
        timeout_keep_alive=WORKER_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.graceful_timeout_seconds,
    )


def create_app_behind_nginx() -> "ASGIApp":
    """Return the app of a worker. Nginx logs its requests and may cache its responses."""
    from app.settings import Settings

    settings = Settings()
    app: ASGIApp = create_app(access_log=False)
    if settings.micro_cache_seconds:
        app = _LimitsNginxCache(app, settings.micro_cache_seconds)
    if settings.access_log:
        app = _NamesRoute(app)
    return _PassesStreams(app)


class _ForNginx:
    """Changes the start of each response. Nginx removes the headers X-Accel-* after it has read them.

    https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_ignore_headers
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        def send_changed(message: "Message") -> "Awaitable[None]":
            if message["type"] == "http.response.start":
                self.change(scope, message)
            return send(message)

        await self._app(scope, receive, send_changed)

    def change(self, scope: "Scope", start: "Message") -> None:
        """Change the start of a response."""
        raise NotImplementedError


class _PassesStreams(_ForNginx):
    """Disables buffering in Nginx for responses of unknown length; it stays on for others, to absorb slow clients."""

    def change(self, scope: "Scope", start: "Message") -> None:  # noqa: ARG002
        # https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering
        names = {name for name, _ in start["headers"]}
        if b"content-length" not in names and b"x-accel-buffering" not in names:
            start["headers"] = [*start["headers"], (b"x-accel-buffering", b"no")]


class _NamesRoute(_ForNginx):
    """Names the route for Nginx's access log."""

    def change(self, scope: "Scope", start: "Message") -> None:
        route = getattr(scope.get("route"), "path_format", None)
        if route is not None:
            start["headers"] = [*start["headers"], (b"x-accel-route", route.encode())]


class _LimitsNginxCache(_ForNginx):
    """Limits the time for which Nginx may keep a response, below what its `Cache-Control` allows."""

    def __init__(self, app: "ASGIApp", seconds: int) -> None:
        super().__init__(app)
        self._seconds = seconds

    def change(self, scope: "Scope", start: "Message") -> None:  # noqa: ARG002
        allowed = min(self._seconds, _shared_seconds(start))
        start["headers"] = [*start["headers"], (b"x-accel-expires", b"%d" % allowed)]


def _shared_seconds(start: "Message") -> int:
    """Return how long a shared cache may use the response without asking: RFC 9111, sections 3 and 4.2.1."""
    control = b",".join(value for name, value in start["headers"] if name == b"cache-control").lower()
    if start["status"] not in CACHEABLE_STATUSES or NOT_SHARED.search(control):
        return 0
    ages = {name: int(seconds) for name, seconds in MAX_AGE.findall(control)}
    return ages.get(b"s-maxage", ages.get(b"max-age", 0))

"""`python -m benchmarks.goals.layers.middleware ROUNDS`: CPU time of all middleware of the service together.

Prints the CPU time of each round: a constant ASGI callable inside the service's middleware, alone, and inside
three `@app.middleware("http")` as blogs advise them.
"""

import asyncio
import json
import sys

from app.forge.service import Service
from app.main import create_app
from app.settings import Settings
from starlette.middleware.base import BaseHTTPMiddleware

from benchmarks.baselines.asgi import App, Receive, Scope, Send, respond
from benchmarks.goals.layers.calls import cpu_us, response_of, scope_of

CALLS = 2_000
# As large as an item, and too small to be compressed.
BODY = b"{" + b" " * 300 + b"}"
# Not a route, so that it goes through every layer.
PATH = "/nothing"
BLOG_LAYERS = 3


async def constant(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Respond with the same bytes."""
    await respond(send, BODY)


async def _pass_on(request, call_next):  # noqa: ANN001, ANN202
    return await call_next(request)


def _inside(service: Service) -> App:
    """Return the constant callable inside all middleware of the service."""
    app: App = constant
    for middleware in reversed([*service.outermost, *service.routing()]):
        app = middleware.cls(app, *middleware.args, **middleware.kwargs)
    return app


def _inside_blog() -> App:
    app: App = constant
    for _ in range(BLOG_LAYERS):
        app = BaseHTTPMiddleware(app, _pass_on)
    return app


async def main() -> None:
    """Measure and print."""
    service = create_app(Settings())
    scope = scope_of(PATH, {b"accept": b"*/*", b"accept-encoding": b"gzip, deflate, br, zstd"}, service)
    apps = {"inside": _inside(service), "alone": constant, "blog": _inside_blog()}
    headers = dict((await response_of(apps["inside"], dict(scope)))[0]["headers"])
    if b"x-request-id" not in headers:
        raise SystemExit("The service's middleware did not see the request.")
    shown: dict[str, list[float]] = {name: [] for name in apps}
    for number in range(-1, int(sys.argv[1])):
        for name, app in apps.items():
            figure = await cpu_us(app, scope, CALLS)
            # The first round warms up.
            shown[name] += [figure] if number >= 0 else []
    print(json.dumps(shown))


if __name__ == "__main__":
    asyncio.run(main())

"""Profiles of single requests, for clients that send PROFILE_SECRET as X-Profile-Secret.

The request runs as usual, but the response is its profile. Timing every call about doubles the duration, so read the
shares and not the absolute times. Tasks and threads that the request starts are not included.
"""

import io
import pstats
from collections.abc import Awaitable, Generator
from cProfile import Profile
from functools import partial
from secrets import compare_digest
from time import perf_counter
from typing import Any

from fastapi import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.forge.http.middleware import request_header

LINES = 80


class RequestProfileMiddleware:
    """Responds with a profile to requests that send the secret. Other requests are unchanged."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self.app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = request_header(scope, b"x-profile-secret") if scope["type"] == "http" else None
        if given is None or not compare_digest(given, self._secret):
            await self.app(scope, receive, send)
            return
        status = 0

        async def withhold(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)

        profile, started_at = Profile(), perf_counter()
        await _Profiled(self.app(scope, receive, withhold), profile)
        milliseconds = (perf_counter() - started_at) * 1_000
        head = f"{scope['method']} {scope['path']}: {status} after {milliseconds:.3f} ms\n"
        response = Response(head + _table(profile), media_type="text/plain")
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)


class _Profiled:
    """Awaits another awaitable and profiles only its own steps, not what the loop runs between them."""

    def __init__(self, awaitable: Awaitable[None], profile: Profile) -> None:
        self._awaitable = awaitable
        self._profile = profile

    def __await__(self) -> Generator[Any, Any, None]:
        # ASGI apps are coroutine functions, so this is the iterator of a coroutine.
        steps: Any = self._awaitable.__await__()
        step = partial(steps.send, None)
        while True:
            self._profile.enable()
            try:
                awaited = step()
            except StopIteration:
                return
            finally:
                self._profile.disable()
            try:
                step = partial(steps.send, (yield awaited))
            except BaseException as error:
                step = partial(steps.throw, error)


def _table(profile: Profile) -> str:
    text = io.StringIO()
    pstats.Stats(profile, stream=text).sort_stats("cumulative").print_stats(LINES)
    return text.getvalue()

"""FastAPI with the service's own layers, each in its place whatever middleware is added."""

import warnings
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from app.forge.http.fast_path import FastPathMiddleware
from app.forge.http.fast_path.middleware import Respond, respond_plainly
from app.forge.http.openapi import complete
from app.forge.http.routing import RoutingMiddleware


class Service(FastAPI):
    """FastAPI whose requests pass `outermost`, then all middleware that is added, then direct routes.

    `app.add_middleware`, `@app.middleware("http")` and the argument `middleware` add in between, in any order and
    until the first request, so nothing that they add is ever passed by.
    """

    def __init__(
        self,
        *,
        outermost: Sequence[Middleware] = (),
        innermost: Sequence[Middleware] = (),
        respond: Respond = respond_plainly,
        optional_headers: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self.outermost = outermost
        self.innermost = innermost
        self.respond = respond
        self.optional_headers = optional_headers
        self._complete: dict[str, Any] | None = None
        super().__init__(**options)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the layers around the router; FastAPI asks for them at its first request."""
        added = self.user_middleware
        self.user_middleware = [*self.outermost, *added, *self.routing()]
        try:
            return super().build_middleware_stack()
        finally:
            self.user_middleware = added

    def routing(self) -> list[Middleware]:
        """Return direct routes, and what else is inside of all that is added."""
        # FastAPI's two outer layers answer these.
        handlers = {key: each for key, each in self.exception_handlers.items() if key not in (500, Exception)}
        return [
            Middleware(FastPathMiddleware, router=self.router, handlers=handlers, respond=self.respond),
            Middleware(RoutingMiddleware, router=self.router),
            *self.innermost,
        ]

    def setup(self) -> None:
        """Add no routes for documentation: those of app.forge.http.docs serve it."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, with what `app.forge.http.openapi` adds to it.

        It is the same object for as long as no route is added.
        """
        with warnings.catch_warnings():
            # Its own names, which are replaced.
            warnings.filterwarnings("ignore", "Duplicate Operation ID")
            document = super().openapi()
        if document is not self._complete:
            complete(document, self.routes, self.optional_headers)
            self._complete = document
        return document

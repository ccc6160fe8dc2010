"""FastAPI with built-in middleware that keeps its position when more is added."""

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
    """A FastAPI app. Requests pass `outermost`, then all added middleware, then the fast path.

    Middleware may be added with `app.add_middleware`, `@app.middleware("http")` or the argument `middleware`, in any
    order until the first request. The fast path never bypasses it.
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
        """Return the layers around the router. FastAPI calls this once, on the first request."""
        added = self.user_middleware
        self.user_middleware = [*self.outermost, *added, *self.routing()]
        try:
            return super().build_middleware_stack()
        finally:
            self.user_middleware = added

    def routing(self) -> list[Middleware]:
        """Return the middleware that runs after all added middleware: the fast path and routing."""
        # FastAPI's outermost layer handles these two.
        handlers = {key: each for key, each in self.exception_handlers.items() if key not in (500, Exception)}
        return [
            Middleware(FastPathMiddleware, router=self.router, handlers=handlers, respond=self.respond),
            Middleware(RoutingMiddleware, router=self.router),
            *self.innermost,
        ]

    def setup(self) -> None:
        """Skip FastAPI's documentation routes; `app.forge.http.docs` provides them."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, completed by `app.forge.http.openapi`.

        It is the same object until a route is added.
        """
        with warnings.catch_warnings():
            # Its own names, which are replaced.
            warnings.filterwarnings("ignore", "Duplicate Operation ID")
            document = super().openapi()
        if document is not self._complete:
            complete(document, self.routes, self.optional_headers)
            self._complete = document
        return document

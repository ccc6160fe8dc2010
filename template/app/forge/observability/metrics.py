"""Prometheus metrics over all workers: each worker writes its own files, and any worker can report the total.

https://prometheus.github.io/client_python/multiprocess/ — app.forge.server sets PROMETHEUS_MULTIPROC_DIR.
"""

import os
from functools import lru_cache
from time import perf_counter

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.forge.http.routing import UNMATCHED, matched_path, route_template

# Names as in OpenTelemetry: https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
DURATIONS = Histogram(
    "http_server_request_duration_seconds",
    "Time from the arrival of a request to the end of its response.",
    ["http_request_method", "http_response_status_code", "http_route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
HANDSHAKES = Counter(
    "websocket_handshakes",
    "Number of WebSocket handshakes.",
    ["http_response_status_code", "http_route"],
)
# Clients may send any word as a method. Each would create a new time series, so all others count as _OTHER.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"})

# A WebSocket that is closed before it is accepted gets a 403 response.
HANDSHAKE_STATUSES = {"websocket.accept": 101, "websocket.close": 403}

router = APIRouter(include_in_schema=False)


# `.labels()` takes half of the time of a measurement, so its results are cached.
@lru_cache(maxsize=4_096)
def _series(method: str, route: str, status: int) -> Histogram:
    return DURATIONS.labels(method, status, route)


class MetricsMiddleware:
    """Counts and times every request by method, route and status."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._count_handshake(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_at = perf_counter()
        status = 500

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noting_status)
        finally:
            method = scope["method"] if scope["method"] in METHODS else "_OTHER"
            _series(method, route_template(scope), status).observe(perf_counter() - started_at)

    async def _count_handshake(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the response to a WebSocket handshake. Its duration is not recorded, because it is not a latency."""
        is_counted = False

        def count(status: int) -> None:
            nonlocal is_counted
            if not is_counted:
                is_counted = True
                HANDSHAKES.labels(status, matched_path(scope) or UNMATCHED).inc()

        async def send_counting(message: Message) -> None:
            count(message.get("status") or HANDSHAKE_STATUSES.get(message["type"], 500))
            await send(message)

        try:
            await self.app(scope, receive, send_counting)
        finally:
            count(500)


@router.get("/metrics")
def read_metrics() -> Response:
    """Return the metrics of all workers. Not a coroutine, so the files are read in a thread."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

"""Builds the service: `uvicorn app.main:create_app --factory`, or `python -m app` for production."""

from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from app import docs, health, metrics
from app.about import DESCRIPTION, NAME, VERSION
from app.compression import CompressionMiddleware
from app.compression.responses import CompressedResponses
from app.direct_routes import DirectRoutesMiddleware
from app.items import routes as items
from app.lifespan import lifespan
from app.metrics import MetricsMiddleware
from app.middleware import BodyLimitMiddleware, RequestIdMiddleware
from app.problems import Problem, add_error_handlers
from app.settings import Settings, settings_of_environment


class Service(FastAPI):
    """FastAPI, with the problems that every route answers in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        document = super().openapi()
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document["components"]["schemas"]
        schemas.update(problem.pop("$defs"))
        schemas["Problem"] = problem
        return document


def telemetry() -> TelemetryConfig:
    """Return what FastAPI tells OpenTelemetry: all, or nothing where its SDK is not installed.

    FastAPI asks for three providers at every request, a seventh of a cached read, even if there can be none.
    """
    is_installed = find_spec("opentelemetry.sdk") is not None
    return {"tracing": is_installed, "metrics": is_installed, "logs": is_installed}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service with these settings, by default those of the environment."""
    settings = settings or settings_of_environment()
    # app.docs serves the documentation: FastAPI's own page does not escape the title.
    app = Service(
        title=NAME,
        description=DESCRIPTION,
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=telemetry(),
    )
    app.state.settings = settings
    # Routes are matched in this order: what is asked most comes first.
    app.include_router(items.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(docs.router)
    add_error_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(CompressionMiddleware)
    app.add_middleware(DirectRoutesMiddleware, respond=CompressedResponses())
    app.add_middleware(BodyLimitMiddleware, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(MetricsMiddleware)
    if settings.profile_secret is not None:
        # Here, so that nothing of it is loaded where it is not wanted.
        from app.request_profile import RequestProfileMiddleware

        app.add_middleware(RequestProfileMiddleware, secret=settings.profile_secret.get_secret_value())
    if settings.access_log:
        from app.access_log import AccessLogMiddleware

        app.add_middleware(AccessLogMiddleware)
    app.add_middleware(RequestIdMiddleware)
    return app

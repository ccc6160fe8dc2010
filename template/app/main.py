"""Builds the service: `uvicorn app.main:create_app --factory`, or `python -m app` for production."""

from typing import Any

from fastapi import FastAPI

from app import docs, health, metrics
from app.about import DESCRIPTION, NAME, VERSION
from app.compression import CompressionMiddleware
from app.compression.responses import CompressedResponses
from app.direct_routes import DirectRoutesMiddleware
from app.errors import Problem, add_error_handlers
from app.items import routes as items
from app.lifespan import lifespan
from app.metrics import MetricsMiddleware
from app.middleware import BodyLimitMiddleware, RequestIdMiddleware
from app.settings import Settings


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


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the service with these settings, by default those of the environment."""
    settings = settings or Settings()
    # app.docs serves the documentation: FastAPI's own page does not escape the title.
    app = Service(
        title=NAME, description=DESCRIPTION, version=VERSION, lifespan=lifespan, docs_url=None, redoc_url=None
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
    app.add_middleware(RequestIdMiddleware)
    return app

"""The service: run it with `uvicorn app.main:create_app --factory`, or `python -m app` in production."""

from collections.abc import Iterator
from importlib.util import find_spec

from fastapi.telemetry import TelemetryConfig
from starlette.middleware import Middleware

from app.forge.about import DESCRIPTION, NAME, VERSION
from app.forge.http import docs, health
from app.forge.http.compression import CompressedResponses
from app.forge.http.compression_negotiated import CompressionMiddleware
from app.forge.http.middleware import BodyLimitMiddleware, RequestIdMiddleware
from app.forge.http.problems import add_error_handlers
from app.forge.observability import metrics
from app.forge.observability.metrics import MetricsMiddleware
from app.forge.service import Service
from app.lifespan import lifespan
from app.resources import RESOURCES
from app.settings import Settings, settings_of_environment


def telemetry() -> TelemetryConfig:
    """Return FastAPI's OpenTelemetry settings: everything on if the SDK is installed, otherwise everything off.

    Left on without the SDK, FastAPI looks for three providers on every request.
    """
    is_installed = find_spec("opentelemetry.sdk") is not None
    return {"tracing": is_installed, "metrics": is_installed, "logs": is_installed}


def outermost(settings: Settings) -> Iterator[Middleware]:
    """Yield the middleware that runs before any that is added to the service."""
    yield Middleware(RequestIdMiddleware)
    if settings.access_log:
        from app.forge.observability.access_log import AccessLogMiddleware

        yield Middleware(AccessLogMiddleware)
    if settings.profile_secret is not None:
        # Imported lazily: only needed when profiling is on.
        from app.forge.observability.request_profile import RequestProfileMiddleware

        yield Middleware(RequestProfileMiddleware, secret=settings.profile_secret.get_secret_value())
    yield Middleware(MetricsMiddleware)
    yield Middleware(BodyLimitMiddleware, max_body_bytes=settings.max_body_bytes)


def create_app(settings: Settings | None = None) -> Service:
    """Return the service with these settings; the default is to read them from the environment."""
    settings = settings or settings_of_environment()
    app = Service(
        title=NAME,
        description=DESCRIPTION,
        version=VERSION,
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.docs_enabled else None,
        openapi_tags=[*(resource.tag for resource in RESOURCES), health.TAG],
        servers=[{"url": settings.public_url.rstrip("/")}] if settings.public_url else None,
        root_path_in_servers=settings.public_url is None,
        redoc_url=None,
        telemetry=telemetry(),
        optional_headers=["X-Cache"],
        outermost=list(outermost(settings)),
        innermost=[Middleware(CompressionMiddleware)],
        respond=CompressedResponses(CompressionMiddleware),
    )
    app.state.settings = settings
    # Routes are matched in this order, so the busiest come first.
    for resource in RESOURCES:
        app.include_router(resource.router)
    app.include_router(health.router)
    if settings.metrics_enabled:
        app.include_router(metrics.router)
    if settings.docs_enabled:
        app.include_router(docs.router)
    add_error_handlers(app)
    return app

"""Health checks: liveness of the process, and readiness of its dependencies."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter
from typing import Literal, NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app.forge.database import outages
from app.forge.http.problems import RETRY_AFTER_SECONDS, problem_response, problems

PING_TIMEOUT_SECONDS = 2.0

TAG = {"name": "health", "description": "Liveness of the service, and readiness of its dependencies."}
router = APIRouter(prefix="/health", tags=["health"])


class Dependency(NamedTuple):
    """A server that the service depends on. The service is not ready without its required dependencies."""

    name: str
    ping: Callable[[], Awaitable[None]]
    required: bool


class DependencyHealth(BaseModel):
    """The status of a dependency, and its response time in milliseconds."""

    status: Literal["up", "down"]
    latency_ms: float


class Liveness(BaseModel):
    """The process is serving requests."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """The service can handle requests; it is degraded if an optional dependency is down."""

    status: Literal["ready", "degraded"]
    dependencies: dict[str, DependencyHealth]


async def _examine(dependency: Dependency) -> DependencyHealth:
    started_at = perf_counter()
    status: Literal["up", "down"] = "up"
    try:
        async with asyncio.timeout(PING_TIMEOUT_SECONDS):
            await dependency.ping()
    except Exception as error:
        status = "down"
        outages.report(dependency.name, error)
    return DependencyHealth(status=status, latency_ms=round((perf_counter() - started_at) * 1_000, 3))


@router.get("/live")
async def read_liveness() -> Liveness:
    """Return 200 while the process is serving requests."""
    return Liveness()


@router.get("/ready", response_model=Readiness, responses=problems(HTTPStatus.SERVICE_UNAVAILABLE))
async def read_readiness(request: Request) -> Response:
    """Return 200, or 503 with the names of required dependencies that are down."""
    dependencies: list[Dependency] = request.state.dependencies
    results = await asyncio.gather(*map(_examine, dependencies))
    health = {dependency.name: result for dependency, result in zip(dependencies, results, strict=True)}
    down = [dependency for dependency in dependencies if health[dependency.name].status == "down"]
    missing = [dependency.name for dependency in down if dependency.required]
    if missing:
        return problem_response(
            request.state.request_id,
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"Not ready: {', '.join(missing)} is down.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            dependencies={name: result.model_dump() for name, result in health.items()},
        )
    readiness = Readiness(status="degraded" if down else "ready", dependencies=health)
    return Response(readiness.model_dump_json(), media_type="application/json")

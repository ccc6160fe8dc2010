"""Optimizations only affect time: services without them keep the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastforge.inspect.kit import OPTIMIZATIONS, kit_of
from fastforge.inspect.optimizations import ChangedHere, Optimization, load_optimizations

from testkit.servers import Servers, running_servers
from tests.repository import VAR
from tests.variants.rendering import Renderer
from tests.variants.running import Run, StepFailed
from tests.variants.space import variants_named

# Those that clients notice: X-Cache is sent, small responses are not compressed, an encoding is preferred,
# Gunicorn's own workers refuse long addresses with different messages, and without its write-ahead log SQLite
# refuses to read while another process writes; the limits on heads are those of the protocol on httptools.
SEEN_BY_CLIENTS = {
    "ttl-cache",
    "redis-cache",
    "minimum-size-negotiated",
    "minimum-size-gzip",
    "zstd-first",
    "gunicorn-uvicorn-worker",
    "uvicorn-httptools",
    "gunicorn-httptools",
    "sqlite-wal",
}
# Together these have every record except those of `nginx`, which are configuration.
VARIANTS = ["sqlite-ttl-orjson-negotiated-uvicorn", "postgres-redis-orjson-gzip-gunicorn"]


def switched_off(project: Path, order: int) -> list[str]:
    """Turn off as many optimizations of the project as do not overlap; return them."""
    off = []
    with kit_of(project) as kit:
        optimizations = load_optimizations(kit / OPTIMIZATIONS)
    for optimization in optimizations[::order]:
        if optimization.id in SEEN_BY_CLIENTS or not fits(optimization, project):
            continue
        for edit in optimization.edits:
            edit.apply(project)
        off.append(optimization.id)
    return off


def fits(optimization: Optimization, project: Path) -> bool:
    """Return whether its text is still there after the edits of others."""
    try:
        return bool(optimization.places(project))
    except ChangedHere:
        return False


def variables_of(name: str, servers: Servers) -> dict[str, str]:
    """Return the environment variables of the variant's servers."""
    if name.startswith("sqlite"):
        return {"DATABASE_URL": "sqlite:///var/app.db"}
    database = servers.postgres.database("ablations_contract_test")
    return {"DATABASE_URL": database, "REDIS_URL": servers.redis.database()}


pytestmark = pytest.mark.thorough


# If two edit the same lines, the first is turned off; so both orders are tested.
@pytest.mark.parametrize("order", [1, -1], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_service_without_its_optimizations_keeps_the_contract(
    name: str, order: int, renderer: Renderer
) -> None:
    (variant,) = variants_named(name)
    with running_servers({"postgres", "redis"} & set(name.split("-"))) as servers:
        run = Run(variant, variables_of(name, servers))
        run.folder = VAR / "ablations" / f"{name}{order}"
        run.project = run.folder / "project"
        run.render(renderer)
        off = switched_off(run.project, order)
        try:
            run.install()
            run.migrate()
            with run.served() as service:
                passed, _ = run.accept(service)
        except StepFailed as failure:
            pytest.fail(f"Without {', '.join(off)}:\n{failure}", pytrace=False)
    assert len(off) > 8
    assert passed

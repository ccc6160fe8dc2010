"""Layers of a service without server and network: the compressing one, and all middleware together."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.goals import SQLITE
from benchmarks.rendering import REPOSITORY, render
from benchmarks.session import Session
from benchmarks.verdicts import Bound, Row, row_of

COMPRESSED = "100 KB of JSON by negotiated zstd, of the bare compressor"
GZIP_9 = "100 KB of JSON by gzip's level 9, Starlette's default, of zstd"
MIDDLEWARE = "all middleware together, per request"
BLOG_MIDDLEWARE = 'three `@app.middleware("http")`, of all middleware here'
ROUNDS_PER_ROUND = 3


def rows(session: Session) -> Iterator[Row]:
    """Yield a row per layer, and what is usual instead."""
    if session.wants(COMPRESSED, GZIP_9):
        session.progress("in process: compression")
        shown = _shown("compression", session)
        yield row_of(
            COMPRESSED,
            Bound(1.2),
            _ratios(shown["layer"], shown["bare"]),
            details={"cpu_us": round(median(shown["layer"])), "limit_cpu_us": round(median(shown["bare"]))},
        )
        yield row_of(GZIP_9, None, _ratios(shown["gzip 9"], shown["layer"]))
    if session.wants(MIDDLEWARE, BLOG_MIDDLEWARE):
        session.progress("in process: middleware")
        shown = _shown("middleware", session)
        own = [inside - alone for inside, alone in zip(shown["inside"], shown["alone"], strict=True)]
        blog = [inside - alone for inside, alone in zip(shown["blog"], shown["alone"], strict=True)]
        yield row_of(MIDDLEWARE, Bound(25.0), own, "µs")
        yield row_of(BLOG_MIDDLEWARE, None, _ratios(blog, own))


def _ratios(measured: list[float], limit: list[float]) -> list[float]:
    return [one / other for one, other in zip(measured, limit, strict=True)]


def _shown(layer: str, session: Session) -> dict[str, list[float]]:
    """Return what a script of benchmarks.layers prints, run on a rendered project."""
    # Short ones, so there can be more of them.
    command, environment = layer_command(layer, ROUNDS_PER_ROUND * session.rounds, session)
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, check=True)
    shown: dict[str, list[float]] = json.loads(done.stdout)
    return shown


def layer_command(layer: str, rounds: int, session: Session) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of a script of benchmarks.layers on a rendered project."""
    project = render(session.folder, SQLITE.name, dict(SQLITE.answers))
    database = f"sqlite:///{session.folder}/app.db"
    environment = {**os.environ, "PYTHONPATH": str(project), "DATABASE_URL": database}
    return [sys.executable, "-m", f"benchmarks.layers.{layer}", str(rounds)], environment

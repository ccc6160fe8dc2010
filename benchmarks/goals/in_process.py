"""Layers of a service without server and network: compression, and all middleware together."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

from fastforge_kit.verdicts import AtMost

from benchmarks.goals.catalogue import SQLITE
from benchmarks.goals.rows import Row, row_of
from benchmarks.goals.session import Session
from benchmarks.load.rendering import REPOSITORY, render

COMPRESSED = "Compress 100 KB of JSON with negotiated zstd"
GZIP_9 = "Compress 100 KB of JSON with gzip at level 9, Starlette's default"
MIDDLEWARE = "All middleware together, per request"
BLOG_MIDDLEWARE = 'Three `@app.middleware("http")`'
ROUNDS_PER_ROUND = 3


def rows(session: Session) -> Iterator[Row]:
    """Yield a row for each layer, and for its common alternative."""
    if session.wants(COMPRESSED, GZIP_9):
        session.progress("in process: compression")
        shown = _shown("compression", session)
        cpu = {"cpu_us": round(median(shown["layer"])), "baseline_cpu_us": round(median(shown["bare"]))}
        ratios = _ratios(shown["layer"], shown["bare"])
        yield row_of(COMPRESSED, "the bare compressor", AtMost(1.2), ratios, details=cpu)
        yield row_of(GZIP_9, "negotiated zstd", None, _ratios(shown["gzip 9"], shown["layer"]))
    if session.wants(MIDDLEWARE, BLOG_MIDDLEWARE):
        session.progress("in process: middleware")
        shown = _shown("middleware", session)
        own = [inside - alone for inside, alone in zip(shown["inside"], shown["alone"], strict=True)]
        blog = [inside - alone for inside, alone in zip(shown["blog"], shown["alone"], strict=True)]
        yield row_of(MIDDLEWARE, "", AtMost(25.0), own, "µs")
        yield row_of(BLOG_MIDDLEWARE, "all middleware here", None, _ratios(blog, own))


def _ratios(measured: list[float], baseline: list[float]) -> list[float]:
    return [one / other for one, other in zip(measured, baseline, strict=True)]


def _shown(layer: str, session: Session) -> dict[str, list[float]]:
    """Return the figures that a script of benchmarks.goals.layers prints for a rendered project."""
    # They are short, so there can be more of them.
    command, environment = layer_command(layer, ROUNDS_PER_ROUND * session.rounds, session)
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, check=True)
    shown: dict[str, list[float]] = json.loads(done.stdout)
    return shown


def layer_command(layer: str, rounds: int, session: Session) -> tuple[list[str], dict[str, str]]:
    """Return the command and the environment of a script of benchmarks.goals.layers on a rendered project."""
    project = render(session.folder, SQLITE.name, dict(SQLITE.answers))
    database = f"sqlite:///{session.folder}/app.db"
    environment = {**os.environ, "PYTHONPATH": str(project), "DATABASE_URL": database}
    return [sys.executable, "-m", f"benchmarks.goals.layers.{layer}", str(rounds)], environment

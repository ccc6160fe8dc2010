"""Servers under measurement: services rendered from the template, and their baselines."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastforge_kit.processes import end
from fastforge_kit.service import HOST, STOP_SECONDS, Service, available_port

from benchmarks.load.rendering import REPOSITORY, migrate, render
from testkit.servers import Servers

START_SECONDS = 30
# The routes of a larger application, declared before its resources.
UNRELATED_ROUTES = """
    for number in range(200):
        app.add_api_route(f"/api/v1/things{number}/{{thing_id}}", health.read_liveness)
"""
# The routes of benchmarks.baselines.dependencies.
ROUTES_WITH_DEPENDENCIES = """
    from app.dependencies import add_routes

    add_routes(app)
"""
ROUTES_COMMENT = "    # Routes are matched in this order"


@dataclass(frozen=True)
class Contender:
    """One server: a service rendered with these answers, or a module of benchmarks.baselines."""

    name: str
    database: str
    answers: tuple[tuple[str, str], ...] = ()
    baseline: str = ""
    added_routes: str = ""
    settings: tuple[tuple[str, str], ...] = ()


def database_urls(servers: Servers, folder: Path, kinds: Collection[str]) -> dict[str, str]:
    """Return a URL for each of these kinds of database, emptied first, and one of SQLite.

    Kinds that begin with "sqlite-" are separate files.
    """
    urls = {"sqlite": f"sqlite:///{folder}/app.db", "none": "", "redis": ""}
    urls |= {kind: f"sqlite:///{folder}/{kind}.db" for kind in kinds if kind.startswith("sqlite-")}
    if "postgres" in kinds:
        urls["postgres"] = servers.postgres.database("benchmarks_test")
    if "mongodb" in kinds:
        urls["mongodb"] = servers.mongodb.database("benchmarks_test")
    if "redis" in kinds:
        urls["redis"] = servers.redis.database()
    return urls


@contextmanager
def running(
    contender: Contender, urls: Mapping[str, str], folder: Path, core: int | None = None
) -> Iterator[Service]:
    """Yield the contender when it accepts connections, on this core if given, and end it afterwards."""
    port = available_port(None)
    # Cached rows live long, because some were cached before the round that reads them.
    variables = {
        "DATABASE_URL": urls[contender.database],
        "REDIS_URL": urls["redis"],
        "LOG_LEVEL": "ERROR",
        "CACHE_TTL_SECONDS": "3600",
        "WORKERS": "1",
        **dict(contender.settings),
    }
    if contender.baseline:
        folder = REPOSITORY
        application = [f"benchmarks.baselines.{contender.baseline}:app", "--http", "httptools"]
    else:
        folder = _rendered(contender, variables, folder)
        # The protocol of every deployment, with limits on heads that Uvicorn's own protocol lacks.
        application = ["--factory", "app.forge.server.worker:create_app"]
        application += ["--http", "app.forge.server.protocol:HttpProtocol"]
    options = ["--port", str(port), "--loop", "uvloop", "--no-access-log", "--log-level", "error"]
    command = [sys.executable, "-m", "uvicorn", *application, *options]
    with started(command, folder, variables, port, core) as server:
        yield server


@contextmanager
def started(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], port: int, core: int | None
) -> Iterator[Service]:
    """Yield the server that the command starts when it listens on the port, and end it afterwards.

    Raises:
        SystemExit: It did not listen in half a minute.
    """
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables}, start_new_session=True)
    try:
        # At once, because threads and children inherit the cores of their creator.
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        _wait_for(port, process)
        yield Service(process.pid, port)
    finally:
        end(process, STOP_SECONDS)


def _rendered(contender: Contender, variables: Mapping[str, str], folder: Path) -> Path:
    project = render(folder, contender.name, dict(contender.answers))
    if contender.added_routes:
        main = project / "app/main.py"
        text = main.read_text()
        assert ROUTES_COMMENT in text
        main.write_text(text.replace(ROUTES_COMMENT, contender.added_routes + ROUTES_COMMENT))
        shutil.copy(REPOSITORY / "benchmarks/baselines/dependencies.py", project / "app")
    migrate(project, variables)
    return project


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"The server does not start: {' '.join(map(str, process.args))}")  # type: ignore[arg-type]

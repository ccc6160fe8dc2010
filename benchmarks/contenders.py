"""Servers under measurement: services that the template renders, and what they are compared with."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rendering import REPOSITORY, render
from tests.servers import Servers

HOST = "127.0.0.1"
START_SECONDS = 30
# As Linux numbers clocks: nanoseconds, where /proc/PID/stat counts in hundredths of a second.
CPU_CLOCK_OF_PROCESS = 2
# What an application that has grown brings along, declared before the items.
UNRELATED_ROUTES = """
    for number in range(200):
        app.add_api_route(f"/api/v1/things{number}/{{thing_id}}", health.read_liveness)
"""
ROUTES_COMMENT = "    # Routes are matched in this order"


@dataclass(frozen=True)
class Contender:
    """One server: a rendered service with these answers, or else a module of benchmarks.baselines."""

    name: str
    database: str
    answers: tuple[tuple[str, str], ...] = ()
    baseline: str = ""
    unrelated_routes: str = ""
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Running:
    """A contender that answers."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server so far; it is one process with its threads."""
        return time.clock_gettime(~self.pid << 3 | CPU_CLOCK_OF_PROCESS)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of an answer."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        fields = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body, {**fields, **(headers or {})})
        response = connection.getresponse()
        answer = (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
        connection.close()
        return answer


def database_urls(servers: Servers, folder: Path, kinds: Collection[str]) -> dict[str, str]:
    """Return a URL for each of these kinds of database, what is there is dropped, and one of SQLite."""
    urls = {"sqlite": f"sqlite:///{folder}/app.db", "none": "", "redis": ""}
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
) -> Iterator[Running]:
    """Yield the contender when it answers, on this core if one is given; it has ended afterwards."""
    port = free_port()
    variables = {"DATABASE_URL": urls[contender.database], "REDIS_URL": urls["redis"], "LOG_LEVEL": "ERROR"}
    variables |= dict(contender.settings)
    if contender.baseline:
        where = REPOSITORY
        application = [f"benchmarks.baselines.{contender.baseline}:app", "--http", "httptools"]
    else:
        where = _rendered(contender, variables, folder)
        # As every deployment serves it: with limits on heads, which Uvicorn's own protocol has not.
        application = ["--factory", "app.forge.server.worker:create_app"]
        application += ["--http", "app.forge.server.protocol:HttpProtocol"]
    options = ["--port", str(port), "--loop", "uvloop", "--no-access-log", "--log-level", "error"]
    command = [sys.executable, "-m", "uvicorn", *application, *options]
    with ExitStack() as stack:
        # Long cache times, because some read what was cached before their round.
        environment = {**os.environ, **variables, "CACHE_TTL_SECONDS": "3600", "WORKERS": "1"}
        process = subprocess.Popen(command, cwd=where, env=environment, start_new_session=True)
        stack.callback(stop, process)
        # At once, because threads and children keep to the cores of who starts them.
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        wait_for(port, process)
        yield Running(process.pid, port)


def _rendered(contender: Contender, variables: Mapping[str, str], folder: Path) -> Path:
    project = render(folder, contender.name, dict(contender.answers))
    if contender.unrelated_routes:
        main = project / "app/main.py"
        text = main.read_text()
        assert ROUTES_COMMENT in text
        main.write_text(text.replace(ROUTES_COMMENT, contender.unrelated_routes + ROUTES_COMMENT))
    if (project / "alembic.ini").exists():
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, cwd=project, env={**os.environ, **variables}, check=True, capture_output=True)
    return project


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        port: int = listening.getsockname()[1]
        return port


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Return when the process listens on the port. Raises `SystemExit` where it does not in half a minute."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"{' '.join(map(str, process.args))} does not answer.")  # type: ignore[arg-type]


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End the process."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

"""A published generator's service next to ours: the project that its defaults make for PostgreSQL.

s3rius' `fastapi_template`, pinned, is installed into a folder of its own and runs without a terminal. Its
project installs what its ranges bring, on the newest Python here that it accepts, and starts by its
own command. The package index lacks fastapi/full-stack-fastapi-template, so that is not measured.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]

from benchmarks.contenders import Running, database_urls, free_port, running, stop, wait_for
from benchmarks.goals import POSTGRES
from benchmarks.load import Requests, request, sample
from benchmarks.ratios import filled
from benchmarks.session import Session
from benchmarks.verdicts import Bound, Row, row_of
from tests.variants.interpreters import found_interpreters

TITLE = "one row by s3rius' fastapi_template, of `GET /items/{id}` here"
PINNED = ("fastapi-template==6.1.2", "uv==0.13.8")
NAME = "shop"
FEATURES = ("--api-type", "rest", "--db", "postgresql", "--orm", "sqlalchemy", "--ci", "none")
SWITCHES = ("--quiet", "--force", "--migrations", "--dummy", "--routers")
# It refuses 3.11.
PYTHONS = ("3.13", "3.12")
INSTALL_SECONDS = 300
ONE_ROW = "/api/dummy/?limit=1"


def rows(session: Session) -> Iterator[Row]:
    """Yield how many times our CPU a read of one row takes there."""
    if not session.wants(TITLE):
        return
    session.progress("published: generating and installing")
    project = _generated(session.folder / "published")
    own_urls = database_urls(session.servers, session.folder, {"postgres"})
    url = session.servers.postgres.database("published_test")
    with (
        running(POSTGRES, own_urls, session.folder, session.core) as own,
        _started(project, url, session.core) as theirs,
    ):
        asyncio.run(_insert_one_row(url))
        sides = ((theirs, Requests([request("GET", ONE_ROW)])), (own, filled(own)["read"]))
        cpu_us: tuple[list[float], list[float]] = ([], [])
        for number in range(-1, session.rounds):
            for shown, side in zip(cpu_us, sides, strict=True):
                one = sample(*side, session.seconds, session.connections).cpu_us
                # The first round warms up.
                shown += [one] if number >= 0 else []
            session.progress(f"published: round {number + 1} of {session.rounds}")
    ratios = [one / other for one, other in zip(*cpu_us, strict=True)]
    details = dict(zip(("cpu_us", "limit_cpu_us"), (round(median(each), 1) for each in cpu_us), strict=True))
    yield row_of(TITLE, Bound(8.0, is_upper=False), ratios, details=details)


def _generated(folder: Path) -> Path:
    """Return the new project, with an environment of its own in `.venv`."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "generator")], check=True)
    programs = folder / "generator" / "bin"
    _run([str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", *PINNED], folder)
    # The generator installs with the uv that it finds, which would download the newest Python.
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "UV_PYTHON": _newest_python(),
        "UV_PYTHON_DOWNLOADS": "never",
    }
    _run(["fastapi_template", "--name", NAME, *FEATURES, *SWITCHES], folder, environment)
    _run(["uv", "sync", "--quiet", "--no-dev"], folder / NAME, environment)
    return folder / NAME


def _newest_python() -> str:
    versions = {interpreter.version: interpreter.path for interpreter in found_interpreters()}
    if newest := next((versions[version] for version in PYTHONS if version in versions), None):
        return newest
    raise SystemExit(f"The published project needs Python {PYTHONS[-1]} or newer, and none is found.")


def _run(command: list[str], where: Path, environment: Mapping[str, str] | None = None) -> None:
    """Wait for a command. Raises `SystemExit` with its last line where it fails."""
    done = subprocess.run(
        command,
        cwd=where,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise SystemExit(f"`{' '.join(command[:3])} …` failed: {' '.join(last)}")


@contextmanager
def _started(project: Path, url: str, core: int | None) -> Iterator[Running]:
    """Yield the service as it is configured, but on this port and this database and without its reloader."""
    database, port = urlsplit(url), free_port()
    settings = {
        "PORT": str(port),
        "RELOAD": "False",
        "DB_HOST": database.hostname,
        "DB_PORT": str(database.port),
        "DB_USER": database.username,
        "DB_PASS": database.password,
        "DB_BASE": database.path.removeprefix("/"),
    }
    variables = {f"{NAME.upper()}_{name}": str(value) for name, value in settings.items()}
    programs = project / ".venv" / "bin"
    _run([str(programs / "alembic"), "upgrade", "head"], project, variables)
    with (project / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(programs / "python"), "-m", NAME],
            cwd=project,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if core is not None:
                os.sched_setaffinity(process.pid, {core})
            wait_for(port, process)
            yield Running(process.pid, port)
        finally:
            stop(process)


async def _insert_one_row(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO dummy_model (name) VALUES ('one')")
    finally:
        await connection.close()

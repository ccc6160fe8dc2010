"""A comparison with a published generator: the project that its defaults generate for PostgreSQL.

s3rius' `fastapi_template`, pinned, is installed into a separate directory and runs without a terminal. Its
project installs the versions that its ranges allow, on the newest Python here that it accepts, and starts
with its own command. `full_stack` measures a generator that is not a package, but a repository.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
from fastforge_kit.service import Service, available_port
from fastforge_kit.verdicts import AtLeast
from fastforge_kit.workloads import READ, request
from packaging.specifiers import SpecifierSet

from benchmarks.goals.catalogue import POSTGRES
from benchmarks.goals.cpu_per_request import filled
from benchmarks.goals.rows import Row, row_of
from benchmarks.goals.session import Session
from benchmarks.load.closed_loop import Requests, sample
from benchmarks.load.servers import database_urls, running, started
from testkit.interpreters import find_python

TITLE = "Read one row in a project of s3rius' fastapi_template"
OUR_READ = "reading one item here"
UV = "uv==0.13.8"
PINNED = ("fastapi-template==6.1.2", UV)
NAME = "shop"
FEATURES = ("--api-type", "rest", "--db", "postgresql", "--orm", "sqlalchemy", "--ci", "none")
SWITCHES = ("--quiet", "--force", "--migrations", "--dummy", "--routers")
# It refuses 3.11, and was never tried on 3.14.
ACCEPTED = SpecifierSet(">=3.12,<3.14")
PYTHONS = ("3.14", "3.13", "3.12", "3.11")
INSTALL_SECONDS = 300
ONE_ROW = "/api/dummy/?limit=1"


def rows(session: Session) -> Iterator[Row]:
    """Yield the CPU time of a read of one row there, relative to ours."""
    if not session.wants(TITLE):
        return
    session.progress("published: generating and installing")
    project = _generated(session.folder / "published")
    url = session.servers.postgres.database("published_test")
    with _started(project, url, session.core) as theirs:
        asyncio.run(_insert_one_row(url))
        yield row_beside_ours(session, TITLE, 8.0, theirs, Requests([request("GET", ONE_ROW)]))


def row_beside_ours(session: Session, title: str, goal: float, theirs: Service, requests: Requests) -> Row:
    """Return the CPU time of their read of one row relative to ours, in interleaved rounds."""
    own_urls = database_urls(session.servers, session.folder, {"postgres"})
    with running(POSTGRES, own_urls, session.folder, session.core) as own:
        sides = ((theirs, requests), (own, filled(own)[READ]))
        cpu_us: tuple[list[float], list[float]] = ([], [])
        for number in range(-1, session.rounds):
            for shown, side in zip(cpu_us, sides, strict=True):
                one = sample(*side, session.seconds, session.connections).cpu_us
                # The first round warms up.
                shown += [one] if number >= 0 else []
            session.progress(f"published: round {number + 1} of {session.rounds}")
    ratios = [one / other for one, other in zip(*cpu_us, strict=True)]
    details = dict(
        zip(("cpu_us", "baseline_cpu_us"), (round(median(each), 1) for each in cpu_us), strict=True)
    )
    return row_of(title, OUR_READ, AtLeast(goal), ratios, details=details)


def _generated(folder: Path) -> Path:
    """Return the new project, with its environment in `.venv`."""
    # The generator uses the uv that it finds.
    environment = tools(folder / "generator", PINNED, ACCEPTED)
    run(["fastapi_template", "--name", NAME, *FEATURES, *SWITCHES], folder, environment)
    run(["uv", "sync", "--quiet", "--no-dev"], folder / NAME, environment)
    return folder / NAME


def tools(folder: Path, pinned: Sequence[str], accepted: SpecifierSet) -> dict[str, str]:
    """Install these packages, which include uv; return the variables that select them and a Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    programs = folder / "bin"
    run([str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", *pinned], folder)
    # Otherwise uv would download the newest Python.
    return {"PATH": path_with(programs), "UV_PYTHON": _newest(accepted), "UV_PYTHON_DOWNLOADS": "never"}


def path_with(programs: Path) -> str:
    """Return a PATH where these programs come first."""
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def _newest(accepted: SpecifierSet) -> str:
    versions = [version for version in PYTHONS if version in accepted]
    if newest := next(filter(None, map(find_python, versions)), None):
        return newest
    raise SystemExit(f"The published project needs Python {accepted}, which is not installed. Install it.")


def run(command: Sequence[str], where: Path, environment: Mapping[str, str] | None = None) -> None:
    """Run a command. Raises `SystemExit` with its last line if it fails."""
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


def _started(project: Path, url: str, core: int | None) -> AbstractContextManager[Service]:
    """Return the service with its own configuration, except for port, database and reloader."""
    database, port = urlsplit(url), available_port(None)
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
    run([str(programs / "alembic"), "upgrade", "head"], project, variables)
    return started([str(programs / "python"), "-m", NAME], project, variables, port, core)


async def _insert_one_row(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("INSERT INTO dummy_model (name) VALUES ('one')")
    finally:
        await connection.close()

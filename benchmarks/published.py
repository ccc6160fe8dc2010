"""A published generator's service next to ours: the project that its defaults make for PostgreSQL.

s3rius' `fastapi_template`, pinned, is installed into a folder of its own and runs without a terminal. Its
project installs what its ranges bring, on the newest Python here that it accepts, and starts by its
own command. What is no package, but a repository, is measured from a checkout: `full_stack`.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
from packaging.specifiers import SpecifierSet

from benchmarks.contenders import Running, database_urls, free_port, running, stop, wait_for
from benchmarks.goals import POSTGRES
from benchmarks.load import Requests, request, sample
from benchmarks.ratios import filled
from benchmarks.session import Session
from benchmarks.verdicts import Bound, Row, row_of
from tests.variants.interpreters import find_interpreter

TITLE = "one row by s3rius' fastapi_template, of `GET /items/{id}` here"
UV = "uv==0.13.8"
PINNED = ("fastapi-template==6.1.2", UV)
NAME = "shop"
FEATURES = ("--api-type", "rest", "--db", "postgresql", "--orm", "sqlalchemy", "--ci", "none")
SWITCHES = ("--quiet", "--force", "--migrations", "--dummy", "--routers")
# It refuses 3.11, and was not tried on 3.14.
ACCEPTED = SpecifierSet(">=3.12,<3.14")
PYTHONS = ("3.14", "3.13", "3.12", "3.11")
INSTALL_SECONDS = 300
ONE_ROW = "/api/dummy/?limit=1"


def rows(session: Session) -> Iterator[Row]:
    """Yield how many times our CPU a read of one row takes there."""
    if not session.wants(TITLE):
        return
    session.progress("published: generating and installing")
    project = _generated(session.folder / "published")
    url = session.servers.postgres.database("published_test")
    with _started(project, url, session.core) as theirs:
        asyncio.run(_insert_one_row(url))
        yield row_beside_ours(session, TITLE, 8.0, theirs, Requests([request("GET", ONE_ROW)]))


def row_beside_ours(session: Session, title: str, goal: float, theirs: Running, asked: Requests) -> Row:
    """Return how many times the CPU of our read of one row theirs takes, in rounds that are interleaved."""
    own_urls = database_urls(session.servers, session.folder, {"postgres"})
    with running(POSTGRES, own_urls, session.folder, session.core) as own:
        sides = ((theirs, asked), (own, filled(own)["read"]))
        cpu_us: tuple[list[float], list[float]] = ([], [])
        for number in range(-1, session.rounds):
            for shown, side in zip(cpu_us, sides, strict=True):
                one = sample(*side, session.seconds, session.connections).cpu_us
                # The first round warms up.
                shown += [one] if number >= 0 else []
            session.progress(f"published: round {number + 1} of {session.rounds}")
    ratios = [one / other for one, other in zip(*cpu_us, strict=True)]
    details = dict(zip(("cpu_us", "limit_cpu_us"), (round(median(each), 1) for each in cpu_us), strict=True))
    return row_of(title, Bound(goal, is_upper=False), ratios, details=details)


def _generated(folder: Path) -> Path:
    """Return the new project, with an environment of its own in `.venv`."""
    # The generator installs with the uv that it finds.
    environment = tools(folder / "generator", PINNED, ACCEPTED)
    run(["fastapi_template", "--name", NAME, *FEATURES, *SWITCHES], folder, environment)
    run(["uv", "sync", "--quiet", "--no-dev"], folder / NAME, environment)
    return folder / NAME


def tools(folder: Path, pinned: Sequence[str], accepted: SpecifierSet) -> dict[str, str]:
    """Return the variables for these packages, uv among them, installed here, and for such a Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    programs = folder / "bin"
    run([str(programs / "pip"), "install", "--quiet", "--disable-pip-version-check", *pinned], folder)
    # Else uv would download the newest Python.
    return {"PATH": path_with(programs), "UV_PYTHON": _newest(accepted), "UV_PYTHON_DOWNLOADS": "never"}


def path_with(programs: Path) -> str:
    """Return a PATH where these programs come first."""
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def _newest(accepted: SpecifierSet) -> str:
    versions = [version for version in PYTHONS if version in accepted]
    if newest := next(filter(None, map(find_interpreter, versions)), None):
        return newest.path
    raise SystemExit(f"The published project needs Python {accepted}, and none is found. Install one.")


def run(command: Sequence[str], where: Path, environment: Mapping[str, str] | None = None) -> None:
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


def _started(project: Path, url: str, core: int | None) -> AbstractContextManager[Running]:
    """Return the service as it is configured, but on this port and this database and without its reloader."""
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
    run([str(programs / "alembic"), "upgrade", "head"], project, variables)
    return started([str(programs / "python"), "-m", NAME], project, variables, port, core)


@contextmanager
def started(
    command: Sequence[str], where: Path, variables: Mapping[str, str], port: int, core: int | None
) -> Iterator[Running]:
    """Yield the server that the command starts when it listens on the port; it has ended afterwards."""
    with (where / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=where,
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

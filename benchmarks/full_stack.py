"""The backend of fastapi/full-stack-fastapi-template next to our service, from a checkout: it is no package.

What is measured is the commit that is checked out, with the versions that it locks, on the newest Python
here that it accepts, as its image starts it for production but with one worker.
"""

import json
import subprocess
import tarfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from packaging.specifiers import SpecifierSet

from benchmarks.contenders import HOST, Running, free_port
from benchmarks.load import ITEMS, Requests, draft, request
from benchmarks.published import UV, path_with, row_beside_ours, run, started, tools
from benchmarks.ratios import ITEMS_READ
from benchmarks.session import Session
from benchmarks.verdicts import Row

NAME = "full-stack-fastapi-template"
REPOSITORY = f"fastapi/{NAME}"
GOAL = 12.0
OLDEST = "0.10.0"
NEEDED = ("backend/app/api/routes/items.py", "pyproject.toml", "uv.lock")
MEASURED = ("backend", "pyproject.toml", "uv.lock")
LOGIN = {"username": "owner@example.com", "password": "of-a-benchmark"}
# An image has no `.env`, so these are all; those of a database have other names in older commits.
SETTINGS = {
    "PROJECT_NAME": "shop",
    "ENVIRONMENT": "production",
    "SECRET_KEY": "of-a-benchmark-that-ends-soon-and-is-long",
    "FIRST_SUPERUSER": LOGIN["username"],
    "FIRST_SUPERUSER_PASSWORD": LOGIN["password"],
}


def checkout(name: str) -> Path:
    """Return the folder of a checkout. Raises `SystemExit` where it is none of that repository."""
    # Relative to the folder, so that a folder within a checkout is none.
    asked = ["git", "-C", name, "rev-parse", *(f"HEAD:./{path}" for path in NEEDED)]
    if subprocess.run(asked, capture_output=True, check=False).returncode:
        raise SystemExit(
            f"{name!r} is no checkout of {REPOSITORY} {OLDEST} or newer. "
            "Clone that, and give the folder of the clone."
        )
    return Path(name)


def rows(session: Session) -> Iterator[Row]:
    """Yield how many times our CPU a read of one row takes there, if there is a checkout."""
    if session.full_stack is None:
        return
    commit = _git(session.full_stack, "rev-parse", "--short", "HEAD").decode().strip()
    title = f"one row by {NAME} at {commit}, of ours"
    if not session.wants(title):
        return
    session.progress("full stack: installing")
    folder = _installed(session.full_stack, session.folder / "full-stack")
    url = session.servers.postgres.database("full_stack_test")
    with _started(folder, url, session.core) as theirs:
        yield row_beside_ours(session, title, GOAL, theirs, _reads(theirs))


def _git(source: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(source), *arguments], capture_output=True, check=True).stdout


def _installed(source: Path, folder: Path) -> Path:
    """Return a copy of the commit, with an environment of its own in `.venv`."""
    with tarfile.open(fileobj=BytesIO(_git(source, "archive", "HEAD", *MEASURED))) as archive:
        archive.extractall(folder, filter="data")
    # Newer commits serve the built frontend from there, and do not start without.
    (folder / "backend/app/frontend").mkdir(exist_ok=True)
    declared = tomllib.loads((folder / "backend/pyproject.toml").read_text())["project"]["requires-python"]
    environment = tools(folder / "tools", [UV], SpecifierSet(declared))
    run(["uv", "sync", "--quiet", "--frozen", "--no-dev", "--package", "app"], folder, environment)
    return folder


def _started(folder: Path, url: str, core: int | None) -> AbstractContextManager[Running]:
    """Return the service, with the tables and the first user that its own script makes."""
    port, programs, backend = free_port(), folder / ".venv/bin", folder / "backend"
    variables = {**SETTINGS, **_database(url), "PATH": path_with(programs)}
    run(["bash", "scripts/prestart.sh"], backend, variables)
    command = [str(programs / "fastapi"), "run", "--host", HOST, "--port", str(port), "app/main.py"]
    return started(command, backend, variables, port, core)


def _database(url: str) -> Mapping[str, str]:
    parts = urlsplit(url)
    return {
        "DATABASE_URL": url,
        "POSTGRES_SERVER": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_DB": parts.path.removeprefix("/"),
    }


def _reads(server: Running) -> Requests:
    """Return the reads of as many items as of our service, by their owner, after creating them."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    login = _answer(server, "/api/v1/login/access-token", urlencode(LOGIN), form)
    owner = {"Authorization": f"Bearer {login['access_token']}"}
    body = json.dumps({"title": "an item", "description": draft("")["description"]})
    ids = [_answer(server, f"{ITEMS}/", body, owner)["id"] for _ in range(ITEMS_READ)]
    return Requests([request("GET", f"{ITEMS}/{each}", **owner) for each in ids])


def _answer(server: Running, path: str, body: str, headers: Mapping[str, str]) -> dict[str, str]:
    status, _, answer = server.ask("POST", path, body.encode(), headers)
    if status != 200:
        raise SystemExit(f"{REPOSITORY} answers `POST {path}` with {status}: {answer[:200]!r}")
    found: dict[str, str] = json.loads(answer)
    return found

"""A comparison with the backend of fastapi/full-stack-fastapi-template; it needs a checkout.

The commit that is checked out is measured with its locked versions, on the newest Python here that it
accepts, started as its production image does, but with one worker.
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

from fastforge_kit.drafts import USUAL_TEXT
from fastforge_kit.service import HOST, Service, available_port
from fastforge_kit.workloads import ROWS_READ, request
from packaging.specifiers import SpecifierSet

from benchmarks.comparisons.published import UV, path_with, row_beside_ours, run, tools
from benchmarks.goals.cpu_per_request import ITEMS
from benchmarks.goals.rows import Row
from benchmarks.goals.session import Session
from benchmarks.load.closed_loop import Requests
from benchmarks.load.servers import started

NAME = "full-stack-fastapi-template"
REPOSITORY = f"fastapi/{NAME}"
GOAL = 12.0
OLDEST = "0.10.0"
NEEDED = ("backend/app/api/routes/items.py", "pyproject.toml", "uv.lock")
MEASURED = ("backend", "pyproject.toml", "uv.lock")
LOGIN = {"username": "owner@example.com", "password": "of-a-benchmark"}
# An image has no `.env`, so these are all settings; older commits use other names for the database.
SETTINGS = {
    "PROJECT_NAME": "shop",
    "ENVIRONMENT": "production",
    "SECRET_KEY": "of-a-benchmark-that-ends-soon-and-is-long",
    "FIRST_SUPERUSER": LOGIN["username"],
    "FIRST_SUPERUSER_PASSWORD": LOGIN["password"],
}


def checkout(name: str) -> Path:
    """Return the folder of a checkout. Raises `SystemExit` if it is not one of that repository."""
    # Relative to the folder, so that a folder within a checkout is refused.
    command = ["git", "-C", name, "rev-parse", *(f"HEAD:./{path}" for path in NEEDED)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        raise SystemExit(
            f"{name!r} is not a checkout of {REPOSITORY} {OLDEST} or newer. "
            "Clone it, and pass the directory of the clone."
        )
    return Path(name)


def rows(session: Session) -> Iterator[Row]:
    """Yield the CPU time of a read of one row there, relative to ours, if there is a checkout."""
    if session.full_stack is None:
        return
    commit = _git(session.full_stack, "rev-parse", "--short", "HEAD").decode().strip()
    title = f"Read one row in {NAME} at {commit}"
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
    """Return a copy of the commit, with its environment in `.venv`."""
    with tarfile.open(fileobj=BytesIO(_git(source, "archive", "HEAD", *MEASURED))) as archive:
        archive.extractall(folder, filter="data")
    # Newer commits serve the built frontend from there, and do not start without.
    (folder / "backend/app/frontend").mkdir(exist_ok=True)
    declared = tomllib.loads((folder / "backend/pyproject.toml").read_text())["project"]["requires-python"]
    environment = tools(folder / "tools", [UV], SpecifierSet(declared))
    run(["uv", "sync", "--quiet", "--frozen", "--no-dev", "--package", "app"], folder, environment)
    return folder


def _started(folder: Path, url: str, core: int | None) -> AbstractContextManager[Service]:
    """Return the service, with the tables and the first user that its own script creates."""
    port, programs, backend = available_port(None), folder / ".venv/bin", folder / "backend"
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


def _reads(server: Service) -> Requests:
    """Create as many items as in our service, and return reads of them by their owner."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    login = _created(server, "/api/v1/login/access-token", urlencode(LOGIN), form)
    owner = {"Authorization": f"Bearer {login['access_token']}"}
    body = json.dumps({"title": "an item", "description": USUAL_TEXT})
    ids = [_created(server, f"{ITEMS}/", body, owner)["id"] for _ in range(ROWS_READ)]
    return Requests([request("GET", f"{ITEMS}/{each}", headers=owner) for each in ids])


def _created(server: Service, path: str, body: str, headers: Mapping[str, str]) -> dict[str, str]:
    response = server.request("POST", path, body.encode(), headers)
    if response.status != 200:
        raise SystemExit(f"{REPOSITORY}: `POST {path}` returned {response.status}: {response.body[:200]!r}")
    created: dict[str, str] = json.loads(response.body)
    return created

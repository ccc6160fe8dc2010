"""Fixtures that share one set of servers among all processes of a test run, started when first needed.

The process that controls the run holds a lock for as long as it lives; `python -m testkit.servers` keeps the
servers until that lock is free.
"""

import fcntl
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import pytest

from testkit.servers.errors import ServerUnavailable
from testkit.servers.mongodb import MongoServer
from testkit.servers.nginx import Nginx
from testkit.servers.postgres import PostgresServer
from testkit.servers.redis import RedisServer
from testkit.servers.variables import ServerOf
from testkit.servers.wheels import REPOSITORY

START_SECONDS = 300.0
FIXTURES = {
    "postgres": "postgres_server",
    "redis": "redis_server",
    "mongodb": "mongodb_server",
    "nginx": "nginx",
}
FOLDER = pytest.StashKey[Path]()
LOCK = pytest.StashKey[IO[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the one flag that turns a missing server from a failure into a counted skip."""
    words = "skip, instead of failing, the tests whose server is not available"
    parser.addoption("--skip-missing-servers", action="store_true", help=words)


def pytest_configure(config: pytest.Config) -> None:
    """Choose the folder through which the processes of this run find the servers."""
    worker_input = getattr(config, "workerinput", None)
    if worker_input is not None:
        config.stash[FOLDER] = Path(worker_input["servers_folder"])
        return
    folder = Path(tempfile.mkdtemp(prefix="fastforge-run-"))
    lock = (folder / "run").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    config.stash[FOLDER], config.stash[LOCK] = folder, lock


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the folder to each pytest-xdist worker."""
    node.workerinput["servers_folder"] = str(node.config.stash[FOLDER])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the servers that ran, and mark a stand-in for MongoDB."""
    for told in _told(config.stash[FOLDER]).values():
        terminalreporter.write_line(
            f"Server: {told['version']} ({told['origin']})" if "url" in told else told["error"]
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the servers of this run and wait until they have ended."""
    lock = config.stash.get(LOCK, None)
    if lock is None:
        return
    lock.close()
    folder = config.stash[FOLDER]
    with (folder / "keeper").open("a") as keeper:
        fcntl.flock(keeper, fcntl.LOCK_EX)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


@pytest.fixture(scope="session")
def shared_servers(request: pytest.FixtureRequest) -> dict[str, dict[str, str]]:
    """The servers of this run as data, started by the first process that needs them."""
    folder = request.config.stash[FOLDER]
    with (folder / "start").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _told(folder) or _started(folder)


@pytest.fixture(scope="session")
def postgres_server(
    request: pytest.FixtureRequest, shared_servers: dict[str, dict[str, str]]
) -> PostgresServer:
    """PostgreSQL, shared by the whole run: use a separate database."""
    return PostgresServer.elsewhere(_available(request, shared_servers["postgres"]))


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest, shared_servers: dict[str, dict[str, str]]) -> RedisServer:
    """Valkey or Redis, shared by the whole run: use a separate database."""
    return RedisServer.elsewhere(_available(request, shared_servers["redis"]))


@pytest.fixture(scope="session")
def mongodb_server(request: pytest.FixtureRequest, shared_servers: dict[str, dict[str, str]]) -> MongoServer:
    """MongoDB or its stand-in, shared by the whole run: use a separate database."""
    return MongoServer.elsewhere(_available(request, shared_servers["mongodb"]))


@pytest.fixture(scope="session")
def nginx(request: pytest.FixtureRequest, shared_servers: dict[str, dict[str, str]]) -> Nginx:
    """The nginx executable."""
    told = _available(request, shared_servers["nginx"])
    return Nginx(Path(told["url"]), told["origin"], told["version"])


@pytest.fixture
def server_of(request: pytest.FixtureRequest) -> ServerOf:
    """The shared server of a kind, started when it is needed."""
    return lambda kind: request.getfixturevalue(FIXTURES[kind])


def _available(request: pytest.FixtureRequest, told: dict[str, str]) -> dict[str, str]:
    if "error" not in told:
        return told
    if request.config.getoption("--skip-missing-servers"):
        pytest.skip(told["error"].splitlines()[0])
    pytest.fail(told["error"], pytrace=False)


def _told(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "servers.json"
    text = path.read_text() if path.exists() else ""
    told: dict[str, dict[str, str]] = json.loads(text) if text.endswith("\n") else {}
    return told


def _started(folder: Path) -> dict[str, dict[str, str]]:
    """Start the keeper and return its report, or raise `ServerUnavailable` with its output."""
    keeper = [sys.executable, "-m", "testkit.servers", "--while-locked", str(folder / "run")]
    with (
        (folder / "servers.json").open("w") as told,
        (folder / "keeper.log").open("w") as log,
        (folder / "keeper").open("w") as alive,
    ):
        # The keeper inherits this lock: when it is free again, the keeper and its servers have ended.
        fcntl.flock(alive, fcntl.LOCK_EX)
        # The shell exits at once: the keeper belongs to the run, not to the process that started it.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *keeper],
            check=True,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=told,
            stderr=log,
            pass_fds=(alive.fileno(),),
            start_new_session=True,
        )
    return _wait(folder)


def _wait(folder: Path) -> dict[str, dict[str, str]]:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not _is_free(folder / "keeper"):
        if told := _told(folder):
            return told
        time.sleep(0.05)
    raise ServerUnavailable("The servers", [(folder / "keeper.log").read_text()], "python -m testkit.servers")


def _is_free(lock_file: Path) -> bool:
    with lock_file.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

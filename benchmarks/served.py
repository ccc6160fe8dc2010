"""Rendered services as they run in production, but with one worker, and what they are asked."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import uuid4

from benchmarks.contenders import HOST, Running
from benchmarks.load import COUNTER, ITEMS, draft, request
from tests.faults.processes import descendants
from tests.servers import Servers
from tests.servers.process import free_port
from tests.servers.variables import variables_for

START_SECONDS = 30
STOP_SECONDS = 15
ITEMS_READ = 100
BATCH_SIZE = 20
DATABASES = count()
DEFAULTS = {"database": "sqlite", "cache": "ttl", "deployment": "uvicorn"}

Texts = list[str]


class CannotServe(Exception):
    """The service does not start, or does not answer as it should; the message says how."""


@dataclass(frozen=True)
class Served(Running):
    """A service with all of its processes."""

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its threads so far, from the scheduler's own account."""
        threads = [path for pid in _tree(self.pid) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
        return sum(int(_text(path).split()[0]) for path in threads if _text(path)) / 1e9


@contextmanager
def served(
    project: Path, answers: Mapping[str, str], servers: Servers, environment: Mapping[str, str]
) -> Iterator[Served]:
    """Yield the project's service over an empty database; it has ended afterwards. Raises `CannotServe`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        log = stack.enter_context((folder / "log").open("w+b"))
        port = free_port()
        variables = {
            **os.environ,
            **_servers_of(answers, servers, folder),
            # Long, because some read what was cached before their round.
            "CACHE_TTL_SECONDS": "3600",
            **environment,
            "HOST": HOST,
            "PORT": str(port),
            "WORKERS": "1",
        }
        if (project / "alembic.ini").exists():
            migrate = [sys.executable, "-m", "alembic", "upgrade", "head"]
            subprocess.run(migrate, cwd=project, env=variables, check=True, capture_output=True)
        process = subprocess.Popen(
            [sys.executable, "-m", "app"],
            cwd=project,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        stack.callback(_stop, process)
        service = Served(process.pid, port)
        _wait_until_ready(service, process, folder / "log")
        yield service


def requests_of(workload: str, service: Served) -> tuple[Texts, int]:
    """Return the requests of a workload and the status of their answers; the service is filled with items.

    Raises `CannotServe` where it refuses them.
    """
    prefix = uuid4().hex
    drafts = [draft(f"{prefix} seed {number}") for number in range(1_000)]
    _expect(201, service, "POST", f"{ITEMS}/batch", json.dumps(drafts).encode())
    page = json.loads(_expect(200, service, "GET", f"{ITEMS}?limit={ITEMS_READ}"))
    paths = [f"{ITEMS}/{item['id']}" for item in page["items"]]
    return WORKLOADS[workload](prefix, paths)


def _read(_prefix: str, paths: list[str]) -> tuple[Texts, int]:
    return [request("GET", path) for path in paths], 200


def _list(_prefix: str, _paths: list[str]) -> tuple[Texts, int]:
    return [request("GET", f"{ITEMS}?limit=100")], 200


def _create(prefix: str, _paths: list[str]) -> tuple[Texts, int]:
    return [request("POST", ITEMS, json.dumps(draft(f"{prefix} created {COUNTER}")))], 201


def _change(_prefix: str, paths: list[str]) -> tuple[Texts, int]:
    # 1 before the counter, because numbers in JSON do not begin with zeros.
    return [request("PATCH", path, f'{{"price_cents": 1{COUNTER}}}') for path in paths], 200


def _create_batch(prefix: str, _paths: list[str]) -> tuple[Texts, int]:
    drafts = [draft(f"{prefix} batch {COUNTER} {number}") for number in range(BATCH_SIZE)]
    return [request("POST", f"{ITEMS}/batch", json.dumps(drafts))], 201


# By their names in the measuring kit.
WORKLOADS: Mapping[str, Callable[[str, list[str]], tuple[Texts, int]]] = {
    "read an item": _read,
    "list 100 items": _list,
    "create an item": _create,
    "change an item": _change,
    f"create {BATCH_SIZE} in a batch": _create_batch,
}


def _servers_of(answers: Mapping[str, str], servers: Servers, folder: Path) -> dict[str, str]:
    variables = variables_for({**DEFAULTS, **answers}, servers.of, f"receipts_{next(DATABASES)}")
    if variables["DATABASE_URL"].startswith("sqlite:"):
        variables["DATABASE_URL"] = f"sqlite:///{folder}/app.db"
    return variables


def _expect(status: int, service: Served, method: str, path: str, body: bytes | None = None) -> bytes:
    answered, _, answer = service.ask(method, path, body)
    if answered != status:
        raise CannotServe(f"it answers {answered} to {method} {path}: {answer[:200]!r}")
    return answer


def _wait_until_ready(service: Served, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            if service.ask("GET", "/health/ready")[0] == 200:
                return
        time.sleep(0.05)
    raise CannotServe(f"it does not start: {' '.join(log.read_text(errors='replace').splitlines()[-3:])}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    pids = _tree(process.pid)
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _tree(root: int) -> list[int]:
    return [root, *descendants(root)]


def _text(path: Path) -> str:
    # A thread or process may be gone.
    try:
        return path.read_text()
    except OSError:
        return ""

"""One variant as in production, with separate servers that a test may freeze and kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from testkit.servers import RedisServer
from testkit.servers.process import free_port, kill_processes_in
from tests.faults.clients import ITEMS, new_client
from tests.faults.databases import Database
from tests.faults.processes import allow_open_files, children, command
from tests.repository import REPOSITORY, TEMPLATE, VAR
from tests.variants import machinery
from tests.variants.environments import clean_environment
from tests.variants.interpreters import Interpreter
from tests.variants.running import Run
from tests.variants.space import Variant

WORKERS = 2
DATABASE_TIMEOUT_SECONDS = 2
POOL_SIZE = 4
MAX_WAITING = 64
CACHE_TTL_SECONDS = 1
GRACEFUL_SECONDS = 10
BOOT_SECONDS = 60
POLL_SECONDS = 0.02
# If a shell allows 1,024, a thousand clients of one worker would be too many.
OPEN_FILES = 4_096
STARTED = b"Application startup complete."
# Passes a socket to the program as systemd does: man 3 sd_listen_fds.
PASS_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""
# A template that was broken on purpose must not replace the results of the real one.
FOLDER = VAR / "faults" if TEMPLATE.parent == REPOSITORY else TEMPLATE.parent / "faults"
SETTINGS = {
    "WORKERS": WORKERS,
    "LOG_LEVEL": "INFO",
    "DATABASE_TIMEOUT_SECONDS": DATABASE_TIMEOUT_SECONDS,
    "DATABASE_POOL_SIZE": POOL_SIZE,
    "DATABASE_MAX_WAITING_REQUESTS": MAX_WAITING,
    "DATABASE_MAX_WAITING_WRITES": MAX_WAITING,
    "CACHE_TTL_SECONDS": CACHE_TTL_SECONDS,
    "GRACEFUL_TIMEOUT_SECONDS": GRACEFUL_SECONDS,
}
EXIT_FINDINGS = 3
# Motor is deprecated, and faults have no issuer.
OF_ANSWERS = {"packages.abandoned", "issuer.unreachable"}
# The names by which an operator distinguishes workers from the process that supervises them.
COMMAND_OF_WORKERS = {"uvicorn": "spawn_main", "gunicorn": "-m app", "nginx": "serve_worker"}


class FaultRun(Run):
    """A variant's project with the resources of a shop, beside the folder of the tests of all variants."""

    def __init__(
        self, variant: Variant, servers: Mapping[str, str] = {}, interpreter: Interpreter | None = None
    ) -> None:
        super().__init__(variant, servers, interpreter)
        self.folder = FOLDER / variant.name
        self.project = self.folder / "project"
        self.resources = machinery.shop()

    def add_routes_of_an_owner(self) -> None:
        """Add the routes of tests/faults/owner.py to the project, as its owner would."""
        shutil.copy(Path(__file__).with_name("owner.py"), self.project / "app" / "owner.py")
        main = self.project / "app" / "main.py"
        before, last, nothing = main.read_text(encoding="utf-8").rpartition("    return app\n")
        assert (last, nothing) == ("    return app\n", "")
        added = "    from app.owner import router\n\n    app.include_router(router)\n"
        main.write_text(before + added + last, encoding="utf-8")


@dataclass
class Deployment:
    """A service at `url` that can be stopped, killed and started again, with other settings if necessary."""

    run: FaultRun
    database: Database
    redis: RedisServer | None
    variables: Mapping[str, str]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    starts: int = 0
    log_begins_at: int = 0
    # The socket at which it listens, if another process opened it.
    passed: socket.socket | None = None

    @property
    def variant(self) -> Variant:
        """The answers that the service was generated from."""
        return self.run.variant

    @property
    def url(self) -> str:
        """The URL on which it listens when it runs."""
        scheme = "https" if "TLS_CERTIFICATE" in self.settings else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """The file with everything it printed."""
        return self.run.log("serve")

    @property
    def pid(self) -> int:
        """The process that was started, which supervises all others."""
        assert self.process is not None
        return self.process.pid

    def start(self, **settings: object) -> float:
        """Start the service with the usual settings and these; return the time until it is ready."""
        started_at = time.monotonic()
        allow_open_files(OPEN_FILES)
        self.starts = int(str(settings.get("WORKERS", WORKERS)))
        with self.log.open("ab") as log:
            self.log_begins_at = log.tell()
            self.process = subprocess.Popen(
                self._command(),
                cwd=self.run.project,
                env=self.environment(settings),
                pass_fds=[] if self.passed is None else [self.passed.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.settings = settings
        self.wait_until_ready()
        return time.monotonic() - started_at

    def _command(self) -> list[str]:
        command = [".venv/bin/python", "-m", "app"]
        if self.passed is None:
            return command
        return [sys.executable, "-c", PASS_SOCKET, str(self.passed.fileno()), *command]

    def environment(self, settings: Mapping[str, object]) -> dict[str, str]:
        """Return the environment of the service with these settings over the usual ones."""
        chosen = SETTINGS | {"HOST": "127.0.0.1", "PORT": self.port} | dict(settings)
        return clean_environment(**self.variables, **{name: str(value) for name, value in chosen.items()})

    def refusal(self, **settings: object) -> str:
        """Return what the service says that ends instead of starting with these settings."""
        ended = self._ended(["app"], settings)
        assert ended.returncode == 1, ended.stderr
        return ended.stderr

    def findings(self, **settings: object) -> dict[str, str]:
        """Return the problems that the project's doctor finds with these settings, by name."""
        examined = self._ended(["app.forge.doctor", "--json", "--offline"], settings)
        assert examined.returncode in (0, EXIT_FINDINGS), examined.stderr
        found = json.loads(examined.stdout)["findings"]
        return {each["check"]: each["problem"] for each in found if each["check"] not in OF_ANSWERS}

    def _ended(
        self, module: Sequence[str], settings: Mapping[str, object]
    ) -> subprocess.CompletedProcess[str]:
        """Return a module of the project that has run to its end with these settings."""
        return subprocess.run(
            [".venv/bin/python", "-m", *module],
            cwd=self.run.project,
            env=self.environment(settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=BOOT_SECONDS,
        )

    def wait_until_ready(self) -> None:
        """Return when the service, all its workers and its dependencies are ready."""
        deadline = time.monotonic() + BOOT_SECONDS
        while self.started_workers() < self.starts or not self.is_ready():
            assert self.process is not None
            assert self.process.poll() is None, (
                f"It ended with {self.process.returncode}: {self.last_words()}"
            )
            assert time.monotonic() < deadline, f"It is not ready: {self.last_words()}"
            time.sleep(POLL_SECONDS)

    def started_workers(self) -> int:
        """Return the number of workers that logged their start, including those that have ended since."""
        with self.log.open("rb") as log:
            log.seek(self.log_begins_at)
            return log.read().count(STARTED)

    def is_ready(self) -> bool:
        """Return whether the service reports that it is ready."""
        with suppress(httpx2.TransportError), new_client(self.url) as client:
            answer = client.get("/health/ready")
            return answer.status_code == 200 and answer.json()["status"] == "ready"
        return False

    def running(self, **settings: object) -> None:
        """Make the service run with exactly these settings in addition to the usual ones."""
        if self.process is not None and self.process.poll() is None:
            if self.settings == settings:
                self.wait_until_ready()
                return
            self.stop()
        self.start(**settings)

    def workers(self) -> list[int]:
        """Return the processes that handle requests."""
        mark = COMMAND_OF_WORKERS[str(self.variant["deployment"])]
        return [pid for pid in children(self.pid) if mark in command(pid)]

    def stop(self) -> tuple[int, float]:
        """Ask the service to stop; return its exit code and the seconds until then."""
        assert self.process is not None
        asked_at = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(2 * GRACEFUL_SECONDS + 10)
        finally:
            self.kill()
        return code, time.monotonic() - asked_at

    def kill(self) -> None:
        """Kill the service and all its processes at once, as a crash of the machine would."""
        kill_processes_in(self.run.folder)
        if self.process is not None:
            self.process.wait()

    def kill_worker(self) -> int:
        """Kill one worker, as a system without memory would, and return its id."""
        victim = self.workers()[0]
        self.starts += 1
        os.kill(victim, signal.SIGKILL)
        return victim

    def stored_names(self) -> set[str]:
        """Return the names of all items that the service exports."""
        with new_client(self.url) as client:
            answer = client.get(f"{ITEMS}/export")
        assert answer.status_code == 200, answer.text
        return {json.loads(line)["name"] for line in answer.text.split("\n") if line}

    def last_words(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def leaks(self, text: str) -> list[str]:
        """Return the secrets in `text` that no client may know."""
        inner = [
            "Traceback",
            'File "',
            str(self.run.project),
            "site-packages",
            "127.0.0.1",
            *self.database.secrets,
        ]
        inner += ["asyncpg", "pymongo", "sqlite3", "redis", "Errno"]
        return [word for word in inner if word in text]

"""Projects whose documents are checked, and their running services."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from testkit.servers.process import free_port, kill_processes_in
from tests.clients.tools import Tools, installed_tools, run
from tests.repository import VAR
from tests.variants.environments import clean_environment, environment_of
from tests.variants.rendering import Renderer

HERE = Path(__file__).parent
RESOURCES: dict[str, list[Any]] = yaml.safe_load((HERE / "resources.yaml").read_text(encoding="utf-8"))
BOOT_SECONDS = 30
POLL_SECONDS = 0.05

Document = dict[str, Any]


@dataclass(frozen=True)
class Running:
    """A running service with its own database, and its document."""

    url: str
    document: Document
    folder: Path

    def client(self) -> httpx2.Client:
        """Return a client that sends no headers by default."""
        return httpx2.Client(base_url=self.url, trust_env=False, headers={"Accept-Encoding": "identity"})


class Services:
    """A factory that renders and starts each service when it is first needed."""

    def __init__(self, renderer: Renderer, stack: ExitStack) -> None:
        self._renderer = renderer
        self._stack = stack
        self._running: dict[str, Running] = {}

    def of(self, resources: str, **answers: str) -> Running:
        """Return the running service with this list of `resources.yaml`; tests share its database."""
        name = "-".join([resources, *answers.values()])
        if name not in self._running:
            self._running[name] = self._stack.enter_context(self._served(name, RESOURCES[resources], answers))
        return self._running[name]

    def without_tables(self, resources: str) -> Running:
        """Return such a service whose database has no tables, so that its requests fail."""
        name = f"{resources}-without-tables"
        if name not in self._running:
            served = self._served(name, RESOURCES[resources], {}, has_tables=False)
            self._running[name] = self._stack.enter_context(served)
        return self._running[name]

    @contextmanager
    def _served(
        self, name: str, resources: list[Any], answers: dict[str, str], *, has_tables: bool = True
    ) -> Iterator[Running]:
        folder = VAR / "clients" / "services" / name
        kill_processes_in(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        project = folder / "project"
        asked: Any = {"project_name": "Items API", "resources": resources, **answers}
        shutil.move(self._renderer.render(asked).folder, project)
        (project / ".venv").symlink_to(environment_of(project))
        if resources and has_tables:
            run([project / ".venv/bin/python", "-m", "alembic", "upgrade", "head"], project)
        url = f"http://127.0.0.1:{free_port()}"
        with _process(project, folder / "log", url):
            document = httpx2.get(f"{url}/openapi.json", trust_env=False).json()
            (folder / "openapi.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
            yield Running(url, document, folder)


@contextmanager
def _process(project: Path, log: Path, url: str) -> Iterator[None]:
    variables = {"HOST": "127.0.0.1", "PORT": url.rpartition(":")[2], "WORKERS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [".venv/bin/python", "-m", "app"],
            cwd=project,
            env=clean_environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(process, url, log)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while not _answers(url):
        last_words = log.read_text(errors="replace")[-3_000:]
        assert process.poll() is None, f"It ended with {process.returncode}:\n{last_words}"
        assert time.monotonic() < deadline, f"It does not respond:\n{last_words}"
        time.sleep(POLL_SECONDS)


def _answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/health/live", trust_env=False, verify=False).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Linters and generators of clients."""
    return installed_tools()


@pytest.fixture(scope="session")
def services(renderer: Renderer) -> Iterator[Services]:
    """The factory that renders and starts services."""
    with ExitStack() as stack:
        yield Services(renderer, stack)

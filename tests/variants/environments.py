"""Virtual environments of a project's pinned requirements, shared by projects with equal ones."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import Distribution, distributions
from pathlib import Path

import uv

from tests.repository import TEMPLATE, VAR

FILES = ("requirements.txt", "requirements-dev.txt")
EVERY_FILE = (*FILES, "requirements-load.txt")


class NotInstalled(Exception):
    """Neither uv nor pip could install the requirements; the message has the end of their output."""


def environment_of(project: Path, python: str = sys.executable, files: tuple[str, ...] = FILES) -> Path:
    """Return an environment with what these requirement files list, or raise `NotInstalled`.

    Each file brings those before it along.
    """
    texts = [(project / name).read_bytes() for name in files]
    key = hashlib.sha256(b"\0".join([*texts, python.encode(), sys.version.encode()])).hexdigest()[:16]
    folder = VAR / "environments" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            _make(folder, project / files[-1], python)
            _take_over_bytecode(folder)
            (folder / "complete").touch()
    return folder


def environment_of_all() -> Path:
    """Return an environment for any variant: the template's requirements without conditions."""
    folder = VAR / "environments" / "all"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_suffix(".lock")):
        for name in EVERY_FILE:
            source = (TEMPLATE / f"{name}.jinja").read_text(encoding="utf-8")
            (folder / name).write_text(re.sub(r"^{%.*\n", "", source, flags=re.MULTILINE), encoding="utf-8")
    return environment_of(folder, files=EVERY_FILE)


def site_packages(environment: Path) -> Path:
    """Return the folder of the environment's distributions."""
    return next(environment.glob("lib/python*/site-packages"))


def installed(environment: Path) -> dict[str, Distribution]:
    """Return the distributions of the environment, by normalized name."""
    found = distributions(path=[str(site_packages(environment))])
    return {normalized(distribution.metadata["Name"]): distribution for distribution in found}


def normalized(name: str) -> str:
    """Return the normalized name of a distribution."""
    return re.sub(r"[-_.]+", "-", name).lower()


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's environment for a project: without FastForge's own Python, bytecode kept."""
    ours = (
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
    )
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith(("PYTEST_", "TEST_"))
    }
    return kept | more


def _make(folder: Path, requirements: Path, base: str) -> None:
    """Install with uv, which is fast; or with pip, whose settings may name an index that uv does not know."""
    python = str(folder / "bin" / "python")
    target = ["--require-hashes", "--requirement", str(requirements)]
    fast = [uv.find_uv_bin(), "--quiet"]
    by_uv = [
        [*fast, "venv", "--python", base, str(folder)],
        [*fast, "pip", "install", "--python", python, *target],
    ]
    by_pip = [
        [base, "-m", "venv", str(folder)],
        [python, "-m", "pip", "install", "--quiet", *target],
    ]
    last_words = []
    for commands in (by_uv, by_pip):
        shutil.rmtree(folder, ignore_errors=True)
        failures = list(_failures(commands))
        if not failures:
            return
        last_words += failures
    raise NotInstalled("\n".join(last_words))


def _take_over_bytecode(folder: Path) -> None:
    """Link the bytecode of the same files in other environments: compiling it takes seconds of each run.

    Python itself compares it with its source's date and size, and uv links the sources from one cache.
    """
    site = site_packages(folder)
    for other in folder.parent.glob(f"*/{site.relative_to(folder)}"):
        if other == site:
            continue
        for package in other.iterdir():
            if _is_same(package, site / package.name):
                _link_bytecode(package, site / package.name)


def _is_same(package: Path, ours: Path) -> bool:
    """Return whether both are the same files, by their first module."""
    module = Path("__init__.py")
    return (
        (ours / module).exists()
        and (package / module).exists()
        and (ours / module).samefile(package / module)
    )


def _link_bytecode(package: Path, ours: Path) -> None:
    for compiled in package.rglob("*.pyc"):
        target = ours / compiled.relative_to(package)
        if target.parents[1].exists() and not target.exists():
            target.parent.mkdir(exist_ok=True)
            with suppress(FileExistsError, FileNotFoundError):
                os.link(compiled, target)


def _failures(commands: list[list[str]]) -> Iterator[str]:
    """Run the commands up to the first that fails, and yield the end of its output."""
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=clean_environment())
        if done.returncode != 0:
            yield f"{' '.join(command)}\n{done.stderr[-2000:]}"
            return


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

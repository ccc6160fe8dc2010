"""The measuring kit and the optimizations, as the template had them at a project's version."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fastforge.errors import Interrupted, WorkFailed
from fastforge.git import GitFailed
from fastforge.project.locate import read_recorded
from fastforge.template.history import open_history
from fastforge.template.source import SourceUnknown, build_facts, template_directory

KIT = "kit"
OPTIMIZATIONS = "optimizations"
# Variables of FastForge's own Python, which the project's must not see.
_NOT_PASSED_ON = {"PYTHONHOME", "PYTHONPATH", "PYTHONSAFEPATH", "VIRTUAL_ENV"}


@contextmanager
def kit_of(project: Path) -> Iterator[Path]:
    """Yield a directory with the kit of the project's version and the optimizations of its answers.

    Raises:
        UserError: The answers file cannot be read, or FastForge does not know the version.
        WorkFailed: That version had no kit yet.
    """
    recorded = read_recorded(project)
    with tempfile.TemporaryDirectory(prefix="fastforge-") as scratch:
        kit = _unpacked(
            str(recorded.get("_commit") or ""), str(recorded.get("_src_path") or ""), Path(scratch)
        )
        applying = set(applying_folders(recorded))
        for directory in (kit / OPTIMIZATIONS).iterdir():
            if directory.name not in applying:
                shutil.rmtree(directory)
        yield kit


def applying_folders(answers: Mapping[str, Any]) -> Iterator[str]:
    """Yield the directories of optimizations that a project with these answers includes."""
    behind_nginx = answers.get("deployment") == "nginx"
    compression = "none" if behind_nginx else answers.get("compression")
    yield "every"
    yield from (str(answers.get(name)) for name in ("database", "cache", "serializer", "deployment"))
    yield str(compression)
    if answers.get("cache") != "none":
        yield "any_cache"
    if compression != "none":
        yield "any_compression"
    if behind_nginx and answers.get("compression") != "none":
        yield "nginx_compression"
    if answers.get("auth", "none") != "none":
        yield "any_auth"
        yield str(answers["auth"])


def run_kit(project: Path, module: str, arguments: Sequence[str], stdout: IO[str] | None = None) -> int:
    """Run a module of the kit with the project's Python, and return its exit code. It prints the results.

    Raises:
        WorkFailed: The project has no environment, or its version no kit.
        Interrupted: A signal came before the kit could handle it.
    """
    python = project_python(project)
    with kit_of(project) as kit:
        return _run([str(python), "-m", module, *arguments], project, kit, stdout)


def first_resource(project: Path) -> str:
    """Return the name of the first resource in the project's answers, or nothing if none is recorded.

    Raises:
        UserError: The answers file cannot be read.
    """
    resources = read_recorded(project).get("resources") or [{}]
    return str(resources[0].get("name", ""))


def project_python(project: Path) -> Path:
    """Return the project's interpreter, or raise `WorkFailed` if it has none."""
    python = project / ".venv/bin/python"
    if not python.exists():
        raise WorkFailed(f"{str(project)!r} has no .venv.", "Create it: run make install in the project.")
    return python


def project_environment() -> dict[str, str]:
    """Return the environment of a program that the project's interpreter runs."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}


def _run(command: Sequence[str], project: Path, kit: Path, stdout: IO[str] | None) -> int:
    paths = os.pathsep.join([str(kit), str(project)])
    environment = project_environment() | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        command, cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=stdout
    ) as process:
        try:
            return process.wait()
        except Interrupted as interrupt:
            # The kit ends its processes, prints the results so far, and ignores a second signal.
            process.send_signal(interrupt.exit_code - 128)
            if process.wait() < 0:
                raise
            return interrupt.exit_code


def _unpacked(version: str, url: str, scratch: Path) -> Path:
    if not version or version == _installed_version():
        ignored = shutil.ignore_patterns("__pycache__", ".*_cache")
        return Path(shutil.copytree(template_directory() / KIT, scratch / KIT, ignore=ignored))
    with open_history() as history:
        commit = history.recorded_commit(version, url)
        try:
            return history.unpack(commit, KIT, into=scratch) / KIT
        except GitFailed as error:
            raise WorkFailed(
                f"The template had no measuring kit at the project's version, {version}.",
                "Update the project: fastforge update",
            ) from error


def _installed_version() -> str:
    try:
        return str(build_facts()["commit"])
    except SourceUnknown:
        return ""

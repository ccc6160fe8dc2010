"""Checks of the machine: its Python, tools, limits, clock and disk."""

import os
import re
import shutil
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from app.forge.doctor.findings import Finding, Outcomes

# Needed beside these files; an image has neither.
TOOLS = {"make": "Makefile", "git": ".git"}
# Below it, a worker runs out of descriptors with a few hundred clients.
FEWEST_OPEN_FILES = 1_024
MIB = 2**20
LEAST_FREE_MIB = 256
DAY_SECONDS = 24 * 60 * 60


def check_machine(project: Path) -> Outcomes:
    """Yield the findings that need neither packages nor settings."""
    yield from _check_python(project)
    yield from _check_tools(project)
    yield from check_open_files(FEWEST_OPEN_FILES)
    yield from _check_clock(project, time.time())
    yield from _check_temporary_directory()


def _check_python(project: Path) -> Outcomes:
    try:
        wanted = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["requires-python"]
    except FileNotFoundError:
        return  # An image has only the app.
    except (OSError, ValueError, LookupError) as error:
        yield Finding(
            "project.metadata",
            "error",
            f"pyproject.toml cannot be read: {type(error).__name__}: {error}",
            "Restore it: git restore pyproject.toml",
        )
        return
    version = sys.version_info[:2]
    for operator, major, minor in re.findall(r"(>=|<)\s*(\d+)\.(\d+)", wanted):
        bound = (int(major), int(minor))
        if version < bound if operator == ">=" else version >= bound:
            yield Finding(
                "interpreter.version",
                "error",
                f"This is Python {version[0]}.{version[1]}, and pyproject.toml requires {wanted}.",
                "Remove .venv, then run make install with another Python: make install PYTHON=python3.13",
            )


def _check_tools(project: Path) -> Outcomes:
    for tool, file in TOOLS.items():
        if (project / file).exists() and shutil.which(tool) is None:
            yield Finding(
                "tools.missing",
                "warning",
                f"{tool} is not on PATH.",
                f"Install it (Debian: apt-get install {tool}), or correct PATH.",
            )


def check_open_files(needed: int) -> Outcomes:
    """Yield a finding if this process may open fewer files than are needed."""
    if sys.platform == "win32":
        return
    import resource  # Not on Windows.

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < needed:
        yield Finding(
            "files.limit",
            "warning",
            f"A process may open {allowed} files, of which each connection needs one; at least {needed} are advisable.",
            f"Raise the limit: ulimit -n {needed}, or LimitNOFILE= of systemd.",
        )


def _check_clock(project: Path, now: float) -> Outcomes:
    newest = max((file.stat().st_mtime for file in project.glob("app/**/*.py")), default=0.0)
    if newest > now + DAY_SECONDS:
        days = round((newest - now) / DAY_SECONDS)
        yield Finding(
            "clock.behind",
            "warning",
            f"A file of this project was changed {days} days in the future, so the clock is probably wrong. Certificates and "
            f"tokens depend on it.",
            "Synchronize the clock: timedatectl set-ntp true. If it is right, touch the files in app/.",
        )


def _check_temporary_directory() -> Outcomes:
    # Python falls back to another directory silently, and other programs do not.
    named = os.environ.get("TMPDIR")
    if named and not os.access(named, os.W_OK | os.X_OK):
        yield Finding(
            "disk.temporary_directory",
            "error",
            f"TMPDIR={named} is not a directory that this user may write to.",
            "Create it, or set TMPDIR to another one.",
        )
    else:
        yield from check_space(Path(tempfile.gettempdir()), LEAST_FREE_MIB * MIB)


def check_space(directory: Path, needed: int) -> Outcomes:
    """Yield a finding if the directory has less free space than needed, in bytes."""
    free = shutil.disk_usage(directory).free
    if free < needed:
        yield Finding(
            "disk.space",
            "error",
            f"{directory} has {free // MIB} MiB free, and {needed // MIB} MiB are needed.",
            "Delete what is not needed, or move it to a larger disk.",
        )

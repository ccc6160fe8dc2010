"""A program of a project's machinery, which the project's own Python runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from fastforge.errors import WorkFailed
from fastforge.inspect.kit import project_environment


def run_program(
    python: Path, module: str, arguments: Sequence[str], directory: Path, seconds: float, too_slow: str
) -> subprocess.CompletedProcess[str]:
    """Return the finished program with its output and exit code.

    Raises:
        WorkFailed: Python cannot be run, or the program did not end in time, in the words of `too_slow`.
    """
    try:
        return subprocess.run(
            [str(python), "-m", module, *arguments],
            cwd=directory,
            env=project_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WorkFailed(too_slow, by_hand(python, module, directory)) from None
    except OSError as error:
        raise WorkFailed(
            f"{str(python)!r} cannot be run: {error.strerror}.",
            "Create it again: run make install in the project.",
        ) from error


def by_hand(python: Path, module: str, directory: Path) -> str:
    """Return the hint that names the command."""
    return f"To see it, run this in the project: {os.path.relpath(python, directory)} -m {module}"

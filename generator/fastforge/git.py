"""Runs git, apart from the repository that the caller's environment may name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

# A git hook exports these; a project generated from one must not end up in the hook's repository.
_REPOSITORY_VARIABLES = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
}


class GitFailed(Exception):
    """Git is missing, or it answered with an error; the message is its first line."""


def run_git(
    folder: Path, *arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None
) -> str:
    """Return what git printed, without the last line break.

    Raises:
        GitFailed: Git is not on PATH, or exited with an error.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(variables or {})}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            input=os.fsencode(stdin),
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise GitFailed(f"git cannot be run ({error.strerror})") from error
    if done.returncode:
        lines = os.fsdecode(done.stderr).strip().splitlines()
        raise GitFailed(lines[0] if lines else f"git {arguments[0]} exited with {done.returncode}")
    return os.fsdecode(done.stdout).rstrip("\n")

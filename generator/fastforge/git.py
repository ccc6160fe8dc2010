"""Runs git, apart from the repository that the caller's environment may name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Mapping
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
# For FastForge's own repositories: nobody's settings, attributes or identity take part.
HERMETIC: Mapping[str, str] = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "2",
    "GIT_CONFIG_KEY_0": "core.attributesFile",
    "GIT_CONFIG_VALUE_0": os.devnull,
    "GIT_CONFIG_KEY_1": "core.autocrlf",
    "GIT_CONFIG_VALUE_1": "false",
    "GIT_CONFIG_PARAMETERS": "",
    "GIT_ATTR_NOSYSTEM": "1",
    **{
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", "FastForge"), ("EMAIL", "fastforge@localhost"))
    },
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
    printed = run_git_bytes(folder, *arguments, stdin=os.fsencode(stdin), variables=variables)
    return os.fsdecode(printed).rstrip("\n")


def run_git_bytes(
    folder: Path,
    *arguments: str,
    stdin: bytes = b"",
    variables: Mapping[str, str] | None = None,
    expected: Collection[int] = (0,),
) -> bytes:
    """Return what git printed.

    Raises:
        GitFailed: Git is not on PATH, or its exit code is not one of the expected.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(variables or {})}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=environment, input=stdin, capture_output=True, check=False
        )
    except OSError as error:
        raise GitFailed(f"git cannot be run ({error.strerror})") from error
    if done.returncode not in expected:
        lines = os.fsdecode(done.stderr).strip().splitlines()
        raise GitFailed(lines[0] if lines else f"git {arguments[0]} exited with {done.returncode}")
    return done.stdout

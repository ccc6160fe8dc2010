"""Run git, without the repository that the caller's environment may name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fastforge.errors import WorkFailed

# A git hook exports these. A project that it generates must not become part of the hook's repository.
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
# For commits that the user does not make: without hooks and signatures.
UNATTENDED = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false")


def identity(name: str = "FastForge", email: str = "fastforge@localhost") -> dict[str, str]:
    """Return the variables that name the author and the committer of a commit."""
    parts = {"NAME": name, "EMAIL": email}
    return {f"GIT_{role}_{part}": parts[part] for role in ("AUTHOR", "COMMITTER") for part in parts}


# For FastForge's own repositories: without settings, attributes and identity of the user.
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
    **identity(),
}


class GitFailed(Exception):
    """Git is missing, or failed; the message is the first line of its error."""


def run_git(
    directory: Path, *arguments: str, stdin: str = "", variables: Mapping[str, str] | None = None
) -> str:
    """Return what git printed, without the last line break.

    Raises:
        GitFailed: Git is not on PATH, or exited with an error.
    """
    printed = run_git_bytes(directory, *arguments, stdin=os.fsencode(stdin), variables=variables)
    return os.fsdecode(printed).rstrip("\n")


def run_git_bytes(
    directory: Path,
    *arguments: str,
    stdin: bytes = b"",
    variables: Mapping[str, str] | None = None,
    expected: Collection[int] = (0,),
) -> bytes:
    """Return what git printed.

    Raises:
        GitFailed: Git is not on PATH, or its exit code is not expected.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES}
    environment |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", **(variables or {})}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=directory, env=environment, input=stdin, capture_output=True, check=False
        )
    except OSError as error:
        raise GitFailed(f"git cannot be run ({error.strerror})") from error
    if done.returncode not in expected:
        lines = os.fsdecode(done.stderr).strip().splitlines()
        raise GitFailed(lines[0] if lines else f"git {arguments[0]} exited with {done.returncode}")
    return done.stdout


@contextmanager
def git_failures_reported() -> Iterator[None]:
    """Turn `GitFailed` into an error for the user."""
    try:
        yield
    except GitFailed as error:
        raise WorkFailed(f"git failed: {error}.", "Nothing was changed. Fix that, then try again.") from error


def succeeds(directory: Path, *arguments: str) -> bool:
    """Return True if git exits with 0."""
    try:
        run_git(directory, *arguments)
    except GitFailed:
        return False
    return True

"""Makes the new project a git repository with a first commit, so that its first change can be seen."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from fastforge.git import GitFailed, run_git

FALLBACK_NAME = "FastForge"
FALLBACK_EMAIL = "fastforge@localhost"
_SETTINGS = (
    # Hooks, signatures and line-ending checks are the user's, for commits that the user makes.
    "-c", "core.hooksPath=/dev/null",
    "-c", "commit.gpgSign=false",
    "-c", "core.autocrlf=false",
    "-c", "core.safecrlf=false",
)  # fmt: skip


class NoRepository(Exception):
    """The project has no repository of its own; the message says why, and what is lost."""


def commit_project(project: Path, surroundings: Path, files: Sequence[str]) -> str:
    """Make `project` a repository, commit exactly these files, and return the commit's short hash.

    Raises:
        NoRepository: `surroundings` belongs to a repository already, or git is missing or broken.
    """
    try:
        if is_in_repository(surroundings):
            raise NoRepository("No repository was made: the project lies inside one. Commit it there.")
        return _commit(project, files)
    except GitFailed as error:
        shutil.rmtree(project / ".git", ignore_errors=True)
        raise NoRepository(
            f"No repository was made: {error}. The project has no first commit to compare changes with, and "
            "updates need one: repair git, then run git init, git add . and git commit in it."
        ) from error


def is_in_repository(folder: Path) -> bool:
    """Tell whether the folder lies in a git repository.

    Raises:
        GitFailed: Git could not tell.
    """
    try:
        run_git(folder, "rev-parse", "--git-dir")
    except GitFailed as error:
        if "not a git repository" in str(error):
            return False
        raise
    return True


def _commit(project: Path, files: Sequence[str]) -> str:
    run_git(project, "-c", f"init.defaultBranch={_default_branch(project)}", "init", "--quiet")
    # By name and by force: a global ignore file must not drop files, and a .env that lies around stays out.
    add = ("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul")
    run_git(project, "--literal-pathspecs", *_SETTINGS, *add, stdin="\0".join(files))
    message = "Generate the project with FastForge"
    run_git(
        project, *_SETTINGS, "commit", "--quiet", "--no-verify", "-m", message, variables=committer(project)
    )
    return run_git(project, "rev-parse", "--short", "HEAD")


def _default_branch(project: Path) -> str:
    return _setting(project, "init.defaultBranch") or "main"


def committer(project: Path) -> dict[str, str]:
    """Return the variables that make a commit possible where the user has not told git who they are."""
    try:
        for role in ("AUTHOR", "COMMITTER"):
            run_git(project, "-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT")
    except GitFailed:
        name = _setting(project, "user.name") or FALLBACK_NAME
        email = _setting(project, "user.email") or FALLBACK_EMAIL
        return {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (("NAME", name), ("EMAIL", email))
        }
    return {}


def _setting(project: Path, name: str) -> str:
    try:
        return run_git(project, "config", "--get", name)
    except GitFailed:
        return ""

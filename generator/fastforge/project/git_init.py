"""Makes the new project a git repository with a first commit, so that its first change can be seen."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from fastforge.git import GitFailed, run_git

FALLBACK_NAME = "FastForge"
FALLBACK_EMAIL = "fastforge@localhost"
_WORKFLOW = ".github/workflows/ci.yml"
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


def workflow_notes(project: Path, files: Sequence[str], surroundings: Path) -> list[str]:
    """Return how to make GitHub run the project's workflow, if the project is part of a larger repository."""
    if _WORKFLOW not in files:
        return []
    try:
        top = Path(run_git(surroundings, "rev-parse", "--show-toplevel"))
    except GitFailed:
        return []
    inside = project.resolve().relative_to(top.resolve()).as_posix()
    if inside == ".":
        return []
    check = shlex.join(["fastforge", "check", inside])
    note = f"""\
GitHub runs only the workflows at the top of a repository, not {inside}/{_WORKFLOW}. Copy it there:
  cd {shlex.quote(str(top))} && mkdir -p .github/workflows
  {_copy_of_workflow(inside)}
To see whether a newer template is available, run: {check}"""
    return [note]


def _copy_of_workflow(inside: str) -> str:
    """Return the shell command that writes the workflow of this folder for the repository around it."""
    in_sed = re.sub(r"([\\&|])", r"\\\1", inside)
    paths = f"s|: requirements-dev.txt|: {in_sed}/requirements-dev.txt|"
    defaults = f"defaults: {json.dumps({'run': {'working-directory': inside}})}"
    target = f".github/workflows/{re.sub(r'[^A-Za-z0-9_-]+', '-', inside)}.yml"
    copied = shlex.join(["sed", paths, f"{inside}/{_WORKFLOW}"])
    return f"{{ {copied}; {shlex.join(['echo', defaults])}; }} > {shlex.quote(target)}"


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

"""Create the git repository of a new project, with a first commit to compare changes with."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

from fastforge.git import UNATTENDED, GitFailed, identity, run_git

_WORKFLOW = ".github/workflows/ci.yml"
# Line-ending checks, too, are for commits that the user makes.
_SETTINGS = (*UNATTENDED, "-c", "core.autocrlf=false", "-c", "core.safecrlf=false")


class NoRepository(Exception):
    """No repository was created; the message has the reason, and the consequences."""


def commit_project(project: Path, surroundings: Path, files: Sequence[str]) -> str:
    """Create a repository in `project`, commit exactly these files, and return the commit's short hash.

    Raises:
        NoRepository: `surroundings` belongs to a repository already, or git is missing or broken.
    """
    try:
        if is_in_repository(surroundings):
            raise NoRepository("No repository was created: the project is inside one. Commit it there.")
        return _commit(project, files)
    except GitFailed as error:
        shutil.rmtree(project / ".git", ignore_errors=True)
        raise NoRepository(
            f"No repository was created: {error}. Updates need a first commit: fix git, then run git init, "
            "git add . and git commit in the project."
        ) from error


def is_in_repository(directory: Path) -> bool:
    """Return True if the directory is in a git repository.

    Raises:
        GitFailed: Git cannot read it.
    """
    try:
        run_git(directory, "rev-parse", "--git-dir")
    except GitFailed as error:
        if "not a git repository" in str(error):
            return False
        raise
    return True


def workflow_notes(project: Path, files: Sequence[str], surroundings: Path) -> list[str]:
    """Return the instructions that make GitHub run the workflow of a project inside a larger repository."""
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
    """Return the shell command that writes the workflow of this directory for the repository around it."""
    in_sed = re.sub(r"([\\&|])", r"\\\1", inside)
    paths = f"s|: requirements-dev.txt|: {in_sed}/requirements-dev.txt|"
    defaults = f"defaults: {json.dumps({'run': {'working-directory': inside}})}"
    target = f".github/workflows/{re.sub(r'[^A-Za-z0-9_-]+', '-', inside)}.yml"
    copied = shlex.join(["sed", paths, f"{inside}/{_WORKFLOW}"])
    return f"{{ {copied}; {shlex.join(['echo', defaults])}; }} > {shlex.quote(target)}"


def _commit(project: Path, files: Sequence[str]) -> str:
    branch = _setting(project, "init.defaultBranch") or "main"
    run_git(project, "-c", f"init.defaultBranch={branch}", "init", "--quiet")
    # By name and with --force: a global ignore file must not drop files, and a user's .env must not be added.
    add = ("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul")
    run_git(project, "--literal-pathspecs", *_SETTINGS, *add, stdin="\0".join(files))
    message = "Generate the project with FastForge"
    run_git(
        project, *_SETTINGS, "commit", "--quiet", "--no-verify", "-m", message, variables=committer(project)
    )
    return run_git(project, "rev-parse", "--short", "HEAD")


def committer(project: Path) -> dict[str, str]:
    """Return variables with an identity if the user has none in git, so that a commit is possible."""
    try:
        for role in ("AUTHOR", "COMMITTER"):
            run_git(project, "-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT")
    except GitFailed:
        known = {"name": _setting(project, "user.name"), "email": _setting(project, "user.email")}
        return identity(**{key: value for key, value in known.items() if value})
    return {}


def _setting(project: Path, name: str) -> str:
    try:
        return run_git(project, "config", "--get", name)
    except GitFailed:
        return ""

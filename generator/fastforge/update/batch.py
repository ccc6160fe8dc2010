"""Update many projects, each on its own branch and in a separate worktree.

No state is kept between runs: a project is done if its branch exists. After an interruption, each project is
unchanged or has its branch, so the command can be run again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastforge.errors import UserError
from fastforge.git import UNATTENDED, GitFailed, run_git
from fastforge.inspect.verify import TestsFailed, run_tests
from fastforge.project.git_init import committer
from fastforge.project.locate import ANSWERS_FILE, Project, find_project
from fastforge.template.history import open_history
from fastforge.template.questions import Answers
from fastforge.update.plan import UpdateOptions
from fastforge.update.run import update_project


@dataclass(frozen=True)
class Outcome:
    """The outcome for one project: `result` is updated, current, conflict, failed tests or refused."""

    path: str
    result: str
    branch: str | None = None
    detail: str = ""


def find_projects(places: Iterable[str]) -> list[str]:
    """Return the projects at the places or in them. `@FILE` is a file with one place per line.

    Raises:
        UserError: A place has none.
    """
    found: list[Path] = []
    for place in map(Path, _listed(places)):
        is_project = (place / ANSWERS_FILE).is_file()
        inside = sorted(file.parent for file in place.glob(f"*/{ANSWERS_FILE}"))
        projects = [place] if is_project else inside
        if not projects:
            raise UserError(f"{str(place)!r} contains no project.", "Give projects or their parent.")
        found += projects
    return list(dict.fromkeys(map(str, found)))


def update_all(paths: Iterable[str], version: str | None, changes: Answers) -> Iterator[Outcome]:
    """Update each project on a branch named after the version, run its tests, and yield the outcome."""
    with open_history() as history:
        target = history.name(history.commit(version)) if version else history.newest
    for path in paths:
        try:
            yield _update_on_branch(path, target, changes)
        except TestsFailed as error:
            yield Outcome(path, "failed tests", detail=error.message)
        except UserError as error:
            yield Outcome(path, "refused", detail=error.message)
        except (GitFailed, OSError) as error:
            yield Outcome(path, "refused", detail=str(error))


def _listed(places: Iterable[str]) -> Iterator[str]:
    for place in places:
        if place.startswith("@"):
            yield from (line for line in Path(place[1:]).read_text(encoding="utf-8").splitlines() if line)
        else:
            yield place


def _update_on_branch(path: str, version: str, changes: Answers) -> Outcome:
    project = find_project(path)
    # Projects of one repository do not share a branch.
    branch = "/".join(["fastforge", *project.prefix.split("/"), version]).replace("//", "/")
    if run_git(project.top, "branch", "--list", branch):
        return Outcome(path, "updated", branch, "already exists")
    with _worktree(project) as worktree:
        directory = worktree / project.prefix
        done = update_project(UpdateOptions(str(directory), version, changes, on_a_branch=False))
        if done.plan is None:
            return Outcome(path, "current")
        if done.conflicts:
            return Outcome(path, "conflict", detail=", ".join(done.conflicts))
        run_tests(directory)
        message = f"Update the template from {project.version} to {version}"
        commit = ("commit", "--quiet", "--no-verify", "--message", message)
        run_git(worktree, *UNATTENDED, *commit, variables=committer(worktree))
        run_git(project.top, "branch", branch, run_git(worktree, "rev-parse", "HEAD"))
    return Outcome(path, "updated", branch, f"{len(done.plan.merged.changed)} files, tests passed")


@contextmanager
def _worktree(project: Project) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fastforge-", ignore_cleanup_errors=True) as directory:
        worktree = Path(directory) / (project.directory.name if not project.prefix else "repository")
        try:
            add = ("worktree", "add", "--quiet", "--detach")
            run_git(project.top, *UNATTENDED, *add, str(worktree), "HEAD")
            yield worktree
        finally:
            run_git(project.top, "worktree", "remove", "--force", str(worktree))

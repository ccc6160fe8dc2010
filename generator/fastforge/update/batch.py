"""Updates many projects, each on a branch of its own and away from what its owners have checked out.

Nothing is remembered between runs: a branch that is there says that its project is done. A project is either
untouched or has its branch, whenever the command is interrupted, and running it again goes on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fastforge.errors import UserError
from fastforge.git import GitFailed, run_git
from fastforge.template.history import History, open_history
from fastforge.project.locate import ANSWERS_FILE, Project, find_project
from fastforge.template.questions import Answers
from fastforge.project.git_init import committer
from fastforge.update.run import Wanted, update_project
from fastforge.inspect.verify import TestsFailed, run_tests

NO_HOOKS = ("-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false")


@dataclass(frozen=True)
class Outcome:
    """What became of one project: `result` is updated, current, conflict, failed tests or refused."""

    path: str
    result: str
    branch: str | None = None
    detail: str = ""

    def document(self) -> dict[str, str | None]:
        """Return it for `--json`."""
        return asdict(self)


def find_projects(places: Iterable[str]) -> list[str]:
    """Return the projects that the places are, or hold; `@FILE` names places, one on each line.

    Raises:
        UserError: A place holds none.
    """
    found: list[str] = []
    for place in _listed(places):
        folder = Path(place)
        projects = [folder] if (folder / ANSWERS_FILE).is_file() else sorted(folder.glob(f"*/{ANSWERS_FILE}"))
        if not projects:
            raise UserError(f"{place!r} is no project and holds none.", "Give projects, or folders of them.")
        found += [str(each.parent if each.name == ANSWERS_FILE else each) for each in projects]
    return list(dict.fromkeys(found))


def update_all(paths: Iterable[str], version: str | None, changes: Answers) -> Iterator[Outcome]:
    """Update each project on a branch named after the version, run its tests, and yield what became of it."""
    with open_history() as history:
        target = _name(history, version)
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


def _name(history: History, version: str | None) -> str:
    return history.name(history.commit(version)) if version else history.newest


def _update_on_branch(path: str, version: str, changes: Answers) -> Outcome:
    project = find_project(path)
    # Projects of one repository do not share a branch.
    branch = "/".join(["fastforge", *project.prefix.split("/"), version]).replace("//", "/")
    if run_git(project.top, "branch", "--list", branch):
        return Outcome(path, "updated", branch, "was there already")
    with _worktree(project) as worktree:
        folder = worktree / project.prefix
        done = update_project(Wanted(str(folder), version, changes, on_a_branch=False))
        if done.merged is None:
            return Outcome(path, "current")
        if done.conflicts:
            return Outcome(path, "conflict", detail=", ".join(done.conflicts))
        run_tests(folder)
        message = f"Update the template from {project.version} to {version}"
        commit = ("commit", "--quiet", "--no-verify", "--message", message)
        run_git(worktree, *NO_HOOKS, *commit, variables=committer(worktree))
        run_git(project.top, "branch", branch, run_git(worktree, "rev-parse", "HEAD"))
    return Outcome(path, "updated", branch, f"{len(done.merged.changed)} files, tests passed")


@contextmanager
def _worktree(project: Project) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="fastforge-", ignore_cleanup_errors=True) as folder:
        worktree = Path(folder) / (project.folder.name if not project.prefix else "repository")
        try:
            add = ("worktree", "add", "--quiet", "--detach")
            run_git(project.top, *NO_HOOKS, *add, str(worktree), "HEAD")
            yield worktree
        finally:
            run_git(project.top, "worktree", "remove", "--force", str(worktree))

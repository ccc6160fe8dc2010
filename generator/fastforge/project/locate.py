"""A generated project as an update finds it: where it lies, and what it was made from."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from fastforge.errors import UserError, WorkFailed
from fastforge.git import GitFailed, run_git
from fastforge.template.questions import Answers

ANSWERS_FILE = ".copier-answers.yml"
_UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
}
_GIT_PATHS = ("index", "index.lock", "objects", *_UNFINISHED)


@dataclass(frozen=True)
class Project:
    """One project: `top` is its repository's work tree, `prefix` its place in it (empty, or ends in a slash).

    `version` and `url` are those of the template, as recorded; `url` is empty where none was.
    """

    folder: Path
    top: Path
    prefix: str
    git_folder: Path
    version: str
    url: str
    answers: Answers

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return run_git(self.top, "rev-parse", "HEAD")

    @property
    def tree(self) -> str:
        """The hash of the project's committed tree."""
        return run_git(self.top, "rev-parse", f"HEAD:{self.prefix.rstrip('/')}")

    @property
    def state_folder(self) -> Path:
        """Where an update keeps what undoes it; in the git folder, one for each project."""
        return self.git_folder / "fastforge" / f"update-{quote(self.prefix, safe='')}"

    @cached_property
    def _git_paths(self) -> dict[str, Path]:
        named = [argument for name in _GIT_PATHS for argument in ("--git-path", name)]
        found = run_git(self.top, "rev-parse", *named).split("\n")
        return {name: self.top / path for name, path in zip(_GIT_PATHS, found, strict=True)}

    def git_path(self, name: str) -> Path:
        """Return where git keeps what it calls `name`; linked worktrees share some of it."""
        return self._git_paths[name]


def find_project(path: str) -> Project:
    """Return the project in the folder.

    Raises:
        UserError: There is none, or what it was made from is not recorded.
        WorkFailed: It is under no git repository, or git cannot be run.
    """
    recorded = read_answers_file(_absolute(path))
    return replace(
        find_folder_of_project(path),
        version=str(recorded["_commit"]),
        url=str(recorded.get("_src_path", "")),
        answers={
            name: value if isinstance(value, list) else str(value)
            for name, value in recorded.items()
            if not name.startswith("_")
        },
    )


def find_folder_of_project(path: str) -> Project:
    """Return the project without what its answers file records, which a conflict may have broken.

    Raises:
        WorkFailed: It is under no git repository, or git cannot be run.
    """
    folder = _absolute(path)
    if not folder.is_dir():
        raise UserError(f"{str(folder)!r} is no folder.", "Give the project's folder.")
    try:
        places = run_git(folder, "rev-parse", "--show-toplevel", "--absolute-git-dir", "--show-prefix")
    except GitFailed as error:
        raise _no_repository(folder, error) from error
    top, git_folder, prefix = [*places.split("\n"), ""][:3]
    return Project(folder, Path(top), prefix, Path(git_folder), version="", url="", answers={})


def find_answered_folder(path: str) -> Path:
    """Return the folder of a project, whether or not it is under git and says of which version it is.

    Raises:
        UserError: It is no project.
    """
    folder = _absolute(path)
    if not folder.is_dir():
        raise UserError(f"{str(folder)!r} is no folder.", "Give the project's folder.")
    _refuse_stranger(folder)
    return folder


def _absolute(path: str) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 (a message names what was typed)


def refuse_unready(project: Project) -> None:
    """Refuse a repository whose state an update would be lost in, or would make worse.

    Raises:
        WorkFailed: It has no commit, the project is not committed, or something is unfinished.
    """
    if not _succeeds(project.top, "rev-parse", "--verify", "--quiet", "HEAD"):
        raise WorkFailed(
            f"The repository {str(project.top)!r} has no commit yet.", "Commit the project, then update."
        )
    for name, what in _UNFINISHED.items():
        if project.git_path(name).exists():
            raise WorkFailed(
                f"{what.capitalize()} is in progress in {str(project.top)!r}.", "Finish it first."
            )
    if unmerged := run_git(project.top, "diff", "--name-only", "--diff-filter=U", "-z"):
        raise WorkFailed(
            f"{unmerged.split(chr(0))[0]!r} has an unresolved conflict.",
            "Resolve and git add it, or go back with: fastforge update --abort",
        )
    if not _succeeds(project.top, "cat-file", "-e", f"HEAD:{project.prefix}{ANSWERS_FILE}"):
        raise WorkFailed(
            f"The project in {str(project.folder)!r} is not committed.", "Commit it, then update."
        )


def refuse_detached(project: Project) -> None:
    """Refuse a repository in which no branch is checked out.

    Raises:
        WorkFailed: None is.
    """
    # A submodule is detached as a rule; its superproject names the commit.
    if _succeeds(project.top, "symbolic-ref", "--quiet", "HEAD"):
        return
    if not run_git(project.top, "rev-parse", "--show-superproject-working-tree"):
        raise WorkFailed(
            f"No branch is checked out in {str(project.top)!r}.", "Make one first: git switch -c update"
        )


def _refuse_stranger(folder: Path) -> None:
    if not (folder / ANSWERS_FILE).is_file():
        raise UserError(
            f"{str(folder)!r} has no {ANSWERS_FILE}, so it is no project that FastForge made.",
            "Give the folder of one as PATH.",
        )


def read_answers_file(folder: Path) -> dict[str, Any]:
    """Return what the project records, with `_commit` and `_src_path`.

    Raises:
        UserError: It is no project, or its record is broken.
    """
    _refuse_stranger(folder)
    file = folder / ANSWERS_FILE
    try:
        recorded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _broken(file, " ".join(str(error).split())[:200]) from error
    if not isinstance(recorded, dict) or not all(isinstance(name, str) for name in recorded):
        raise _broken(file, "it holds no mapping of questions to answers")
    if not recorded.get("_commit"):
        raise UserError(
            f"{str(file)!r} records no version of the template: FastForge did not know its own.",
            "Add _commit: with the version that the project was made from.",
        )
    return recorded


def _broken(file: Path, problem: str) -> UserError:
    return UserError(f"{str(file)!r} cannot be read: {problem}.", f"Restore it: git restore {ANSWERS_FILE}")


def _no_repository(folder: Path, error: GitFailed) -> WorkFailed:
    if "not a git repository" in str(error):
        return WorkFailed(
            f"{str(folder)!r} is under no git repository, which an update needs to merge.",
            "Make one: git init && git add --all && git commit -m Start",
        )
    return WorkFailed(f"git cannot read the repository of {str(folder)!r}: {error}.", "Repair that first.")


def _succeeds(folder: Path, *arguments: str) -> bool:
    try:
        run_git(folder, *arguments)
    except GitFailed:
        return False
    return True

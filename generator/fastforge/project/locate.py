"""Find a generated project, its repository, and the answers that it records."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from fastforge.errors import UserError, WorkFailed
from fastforge.git import GitFailed, run_git
from fastforge.template.questions import Answers

ANSWERS_FILE = ".copier-answers.yml"
# What git leaves while something is unfinished.
UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
}
_GIT_PATHS = ("index", "index.lock", "objects", *UNFINISHED)


@dataclass(frozen=True)
class Project:
    """A project. `top` is the work tree of its repository, `prefix` its path there, empty or with a slash.

    `version` and `url` are those of the template, as recorded; `url` is empty if none was.
    """

    directory: Path
    top: Path
    prefix: str
    git_directory: Path
    version: str = ""
    url: str = ""
    answers: Answers = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The project's directory, as git sees it."""
        return self.top / self.prefix

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return run_git(self.top, "rev-parse", "HEAD")

    @property
    def tree(self) -> str:
        """The hash of the project's committed tree."""
        return run_git(self.top, "rev-parse", f"HEAD:{self.prefix.rstrip('/')}")

    @property
    def state_directory(self) -> Path:
        """The place for what undoes an update: in the git directory, one for each project."""
        return self.git_directory / "fastforge" / f"update-{quote(self.prefix, safe='')}"

    @cached_property
    def _git_paths(self) -> dict[str, Path]:
        named = [argument for name in _GIT_PATHS for argument in ("--git-path", name)]
        found = run_git(self.top, "rev-parse", *named).split("\n")
        return {name: self.top / path for name, path in zip(_GIT_PATHS, found, strict=True)}

    def git_path(self, name: str) -> Path:
        """Return the path of git's own file; linked worktrees share some of them."""
        return self._git_paths[name]


def find_project(path: str) -> Project:
    """Return the project in the directory.

    Raises:
        UserError: There is none, or it does not record its template's version.
        WorkFailed: It is not in a git repository, or git cannot be run.
    """
    recorded = read_recorded(find_directory(path))
    if not recorded.get("_commit"):
        raise UserError(
            f"{path!r} records no version of the template, because FastForge did not know its own.",
            f"Add _commit: with the version that generated the project to {ANSWERS_FILE}.",
        )
    return replace(
        find_repository(path),
        version=str(recorded["_commit"]),
        url=str(recorded.get("_src_path", "")),
        answers={
            name: value if isinstance(value, list) else str(value)
            for name, value in recorded.items()
            if not name.startswith("_")
        },
    )


def find_repository(path: str) -> Project:
    """Return the project without its recorded answers, which a conflict may have broken.

    Raises:
        WorkFailed: It is not in a git repository, or git cannot be run.
    """
    directory = _absolute(path)
    try:
        places = run_git(directory, "rev-parse", "--show-toplevel", "--absolute-git-dir", "--show-prefix")
    except GitFailed as error:
        raise _no_repository(directory, error) from error
    top, git_directory, prefix = [*places.split("\n"), ""][:3]
    return Project(directory, Path(top), prefix, Path(git_directory))


def find_directory(path: str) -> Path:
    """Return the directory of a project, which need not be in a git repository.

    Raises:
        UserError: It is not a project.
    """
    directory = _absolute(path)
    if not (directory / ANSWERS_FILE).is_file():
        raise UserError(
            f"{str(directory)!r} has no {ANSWERS_FILE}, so FastForge did not generate it.",
            "Give the directory of a generated project as PATH.",
        )
    return directory


def read_recorded(directory: Path) -> dict[str, Any]:
    """Return the answers that the project records, with `_commit` and `_src_path` if they are known.

    Raises:
        UserError: The answers file cannot be read.
    """
    file = directory / ANSWERS_FILE
    try:
        recorded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(file, " ".join(str(error).split())[:200]) from error
    if not isinstance(recorded, dict) or not all(isinstance(name, str) for name in recorded):
        raise _unreadable(file, "it is not a mapping of questions to answers")
    return recorded


def _absolute(path: str) -> Path:
    directory = Path(os.path.abspath(path))  # noqa: PTH100 (a message names what was typed)
    if not directory.is_dir():
        raise UserError(f"{str(directory)!r} is not a directory.", "Give the project's directory.")
    return directory


def _unreadable(file: Path, problem: str) -> UserError:
    return UserError(f"{str(file)!r} cannot be read: {problem}.", f"Restore it: git restore {ANSWERS_FILE}")


def _no_repository(directory: Path, error: GitFailed) -> WorkFailed:
    if "not a git repository" in str(error):
        return WorkFailed(
            f"{str(directory)!r} is not in a git repository, which an update needs to merge.",
            "Create one: git init && git add --all && git commit -m Start",
        )
    return WorkFailed(f"git cannot read the repository of {str(directory)!r}: {error}.", "Fix that first.")

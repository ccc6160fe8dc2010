"""Reasons not to start an update: it would lose work that is not committed, or could not be finished."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from fastforge.errors import WorkFailed
from fastforge.git import run_git, succeeds
from fastforge.project.locate import ANSWERS_FILE, UNFINISHED, Project
from fastforge.update.merge import Merged


def refuse_unready(project: Project) -> None:
    """Refuse a repository in which an update would be lost, or would make things worse.

    Raises:
        WorkFailed: It has no commit, the project is not committed, or something is unfinished.
    """
    if not succeeds(project.top, "rev-parse", "--verify", "--quiet", "HEAD"):
        raise WorkFailed(f"The repository {str(project.top)!r} has no commit.", "Commit the project first.")
    for name, what in UNFINISHED.items():
        if project.git_path(name).exists():
            raise WorkFailed(
                f"{what.capitalize()} is in progress in {str(project.top)!r}.", "Finish it first."
            )
    if unmerged := run_git(project.top, "diff", "--name-only", "--diff-filter=U", "-z"):
        raise WorkFailed(
            f"{unmerged.split(chr(0))[0]!r} has an unresolved conflict.",
            "Resolve and git add it, or go back with: fastforge update --abort",
        )
    if not succeeds(project.top, "cat-file", "-e", f"HEAD:{project.prefix}{ANSWERS_FILE}"):
        raise WorkFailed(
            f"The project in {str(project.directory)!r} is not committed.", "Commit it, then update."
        )


def refuse_detached(project: Project) -> None:
    """Refuse a repository in which no branch is checked out.

    Raises:
        WorkFailed: None is.
    """
    # A submodule is usually detached; the repository around it names the commit.
    if succeeds(project.top, "symbolic-ref", "--quiet", "HEAD"):
        return
    if not run_git(project.top, "rev-parse", "--show-superproject-working-tree"):
        raise WorkFailed(
            f"No branch is checked out in {str(project.top)!r}.", "Create one first: git switch -c update"
        )


def refuse_blocked(project: Project, merged: Merged) -> None:
    """Refuse an update that would overwrite something that is not committed.

    Raises:
        WorkFailed: It names the files.
    """
    inside = [f"{project.prefix}{path}" for path in merged.changed]
    tracked = [path for path, name in zip(inside, merged.changed, strict=True) if name in merged.yours]
    flagged = _flagged(project, tracked) if tracked else set()
    if sparse := {path for path in flagged if not os.path.lexists(project.top / path)}:
        raise WorkFailed(
            f"This checkout is sparse, and leaves out files that the update changes: {_listed(sparse)}",
            "Check them out first: git sparse-checkout disable",
        )
    blocked = flagged | (_uncommitted(project, tracked) if tracked else set())
    new = set(inside).difference(tracked)
    blocked |= {path for path in new if _is_in_the_way(project.top, path, tracked)}
    if blocked:
        raise WorkFailed(
            f"The update would change what is not committed: {_listed(blocked)}",
            "Commit, stash or move it first; other changes may stay.",
        )


def refuse_read_only(project: Project, merged: Merged) -> None:
    """Refuse an update of files in directories without write permission.

    Raises:
        WorkFailed: It names the first of them.
    """
    for path in merged.changed:
        directory = (project.top / project.prefix / path).parent
        while not directory.exists():
            directory = directory.parent
        if not os.access(directory, os.W_OK | os.X_OK):
            raise WorkFailed(
                f"Permission denied: you may not write into {str(directory)!r}.", "Nothing was changed."
            )


def _listed(paths: Collection[str]) -> str:
    names = ", ".join(repr(path) for path in sorted(paths)[:5])
    return names + (f" and {len(paths) - 5} more." if len(paths) > 5 else ".")


def _uncommitted(project: Project, tracked: list[str]) -> set[str]:
    status = ("--no-optional-locks", "--literal-pathspecs", "status", "--porcelain", "-z", "--no-renames")
    listed = run_git(project.top, *status, "--untracked-files=no", "--ignore-submodules=none", "--", *tracked)
    return {row[3:] for row in listed.split("\0") if row}


def _flagged(project: Project, tracked: list[str]) -> set[str]:
    """Return the files whose changes git ignores (assume-unchanged, skip-worktree, sparse checkouts)."""
    listed = run_git(project.top, "--literal-pathspecs", "ls-files", "-v", "-z", "--", *tracked).split("\0")
    return {row[2:] for row in listed if row and row[0] != "H"}


def _is_in_the_way(top: Path, path: str, leaving: Collection[str]) -> bool:
    """Return True if a file exists at the path, or instead of a directory above it."""
    if os.path.lexists(top / path) and not (top / path).is_dir():
        return True
    parents = [parent.as_posix() for parent in Path(path).parents][:-1]
    return any(
        os.path.lexists(top / parent)
        and ((top / parent).is_symlink() or not (top / parent).is_dir())
        and parent not in leaving
        for parent in parents
    )

"""Tells whether a newer template waits for a project, and what it would bring. Nothing is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastforge.errors import WorkFailed
from fastforge.template.history import open_history
from fastforge.project.locate import Project, find_folder_of_project, find_project
from fastforge.template.releases import describe_releases, releases_between
from fastforge.update.apply import was_cut_off


@dataclass(frozen=True)
class Check:
    """The project's version, the newest that this FastForge knows, and what lies between."""

    project: Project
    newest: str
    is_current: bool
    brings: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """Return the answer of `--json`."""
        return {
            "path": str(self.project.folder),
            "version": self.project.version,
            "newest": self.newest,
            "current": self.is_current,
            **self.brings,
        }


def check_project(path: str) -> Check:
    """Return what waits for the project.

    Raises:
        UserError: It is no project, or was made by a newer FastForge.
        WorkFailed: This FastForge carries no history, or an update of the project was cut off.
    """
    if was_cut_off(folder := find_folder_of_project(path)):
        raise WorkFailed(
            f"An update of {str(folder.folder)!r} was cut off, or is under way.",
            "Put back what it changed: fastforge update --abort",
        )
    project = find_project(path)
    with open_history() as history:
        old = history.recorded_commit(project.version, project.url)
        new = history.commit(history.newest)
        # A project that is ahead (an older FastForge looks at it) lacks nothing.
        is_current = old == new or history.is_ancestor(new, old)
        waiting = [] if is_current else releases_between(history, old, new)
        return Check(project, history.newest, is_current, describe_releases(waiting, project.answers))

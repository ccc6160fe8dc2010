"""Move a finished project to its destination, completely or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastforge import interrupts
from fastforge.directories import removed_at_end
from fastforge.errors import UserError, WorkFailed

_LONGEST_NAME_BYTES = 255


@dataclass(frozen=True)
class Destination:
    """The place of a new project. `exists` if the directory is already there."""

    directory: Path
    exists: bool

    @property
    def existing_directory(self) -> Path:
        """The nearest directory that exists before the project does."""
        return self.directory if self.exists else self.directory.parent


def find_destination(path: str, *, overwrite: bool) -> Destination:
    """Return the destination that PATH names.

    Raises:
        UserError: A project cannot be created there.
    """
    if not path:
        raise UserError("PATH is ''.", "Give the directory to generate, such as: fastforge new myapi")
    directory = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow a link and change the name)
    _refuse_impossible(directory)
    destination = Destination(directory, exists=directory.is_dir())
    if destination.exists and not overwrite and any(directory.iterdir()):
        raise UserError(f"{str(directory)!r} is not empty.", "Choose another PATH, or add --overwrite.")
    return destination


def _refuse_impossible(directory: Path) -> None:
    if len(os.fsencode(directory.name)) > _LONGEST_NAME_BYTES:
        raise UserError(f"The name {directory.name[:40]!r}... is too long.", "Choose a shorter one.")
    if not directory.parent.is_dir():
        raise UserError(
            f"The directory {str(directory.parent)!r} does not exist.",
            f"Create it first: mkdir -p {str(directory.parent)!r}",
        )
    if os.path.lexists(directory) and not directory.is_dir():
        raise UserError(f"{str(directory)!r} exists, and is not a directory.", "Choose another PATH.")
    existing = directory if directory.is_dir() else directory.parent
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(
            f"You may not write into {str(existing)!r}.", "Choose another PATH, or get permission."
        )


@contextmanager
def staging(destination: Destination, *, dry_run: bool) -> Iterator[Path]:
    """Yield the path at which to build the project. It is removed at the end.

    It has the destination's name, and its file system unless this is a dry run.
    """
    parent = Path(tempfile.gettempdir()) if dry_run else destination.existing_directory
    with removed_at_end(parent / f".fastforge-{secrets.token_hex(4)}") as directory:
        yield directory / destination.directory.name


def place(project: Path, destination: Destination) -> None:
    """Move the finished project to its destination. From now on, no signal interrupts the command.

    In a directory that exists, files of the same name are replaced, and others stay unchanged. If that fails,
    every file is restored.

    Raises:
        Interrupted: A signal came before anything was moved.
        WorkFailed: Something is in the way.
    """
    interrupts.pass_the_point_of_no_return()
    if destination.exists:
        _merge(project, destination.directory)
        return
    try:
        project.rename(destination.directory)
    except OSError as error:
        raise WorkFailed(
            f"{str(destination.directory)!r} could not be created: {error.strerror}.", "Choose another PATH."
        ) from error


def _merge(project: Path, directory: Path) -> None:
    # Not in the staging directory, so that the user's files survive even if restoring them fails.
    replaced = directory / f"{project.parent.name}-replaced"
    replaced.mkdir()
    moves: list[tuple[Path, Path]] = []
    try:
        for source in _entries_to_move(project, directory):
            target = directory / source.relative_to(project)
            if os.path.lexists(target):
                _move(target, replaced / str(len(moves)), moves)
            _move(source, target, moves)
    except BaseException:
        for moved_from, moved_to in reversed(moves):
            moved_to.rename(moved_from)
        replaced.rmdir()
        raise
    shutil.rmtree(replaced, ignore_errors=True)


def _move(source: Path, target: Path, moves: list[tuple[Path, Path]]) -> None:
    source.rename(target)
    moves.append((source, target))


def _entries_to_move(project: Path, directory: Path) -> Iterator[Path]:
    """Yield what to move: files, and whole directories that the destination does not have."""
    for entry in sorted(project.iterdir()):
        target = directory / entry.name
        both_are_directories = entry.is_dir() and target.is_dir() and not target.is_symlink()
        if both_are_directories:
            yield from (entry / inner.name for inner in _entries_to_move(entry, target))
        elif target.is_dir() and not target.is_symlink():
            raise WorkFailed(
                f"{str(target)!r} is a directory, but in the project it is a file.", "Move it away."
            )
        else:
            yield entry

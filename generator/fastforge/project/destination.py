"""Puts a finished project where it belongs: all of it, or nothing."""

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
from fastforge.errors import UserError, WorkFailed

_LONGEST_NAME_BYTES = 255


@dataclass(frozen=True)
class Destination:
    """Where the project goes. `exists` when there is a folder already, to be filled rather than made."""

    folder: Path
    exists: bool

    @property
    def existing_folder(self) -> Path:
        """The nearest folder that is there before the project is."""
        return self.folder if self.exists else self.folder.parent


def find_destination(path: str, *, overwrite: bool) -> Destination:
    """Return the destination that PATH names.

    Raises:
        UserError: A project cannot go there.
    """
    if not path:
        raise UserError("PATH is ''.", "Say where the project goes, such as: fastforge new myapi")
    folder = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow a link and change the name)
    _refuse_impossible(folder)
    destination = Destination(folder, exists=folder.is_dir())
    if destination.exists and not overwrite and any(folder.iterdir()):
        raise UserError(f"{str(folder)!r} is not empty.", "Choose another PATH, or add --overwrite.")
    return destination


def _refuse_impossible(folder: Path) -> None:
    if len(os.fsencode(folder.name)) > _LONGEST_NAME_BYTES:
        raise UserError(f"The folder's name {folder.name[:40]!r}... is too long.", "Choose a shorter one.")
    if not folder.parent.is_dir():
        raise UserError(
            f"The folder {str(folder.parent)!r} does not exist.",
            f"Make it first: mkdir -p {str(folder.parent)!r}",
        )
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{str(folder)!r} is there already, and no folder.", "Choose another PATH.")
    existing = folder if folder.is_dir() else folder.parent
    if not os.access(existing, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(
            f"You may not write into {str(existing)!r}.", "Choose another PATH, or get permission."
        )


@contextmanager
def staging(destination: Destination) -> Iterator[Path]:
    """Yield the path at which to make the project; it has the destination's name and file system.

    Whatever is there in the end is removed.
    """
    folder = destination.existing_folder / f".fastforge-{secrets.token_hex(4)}"
    with _removed_in_the_end(folder):
        yield folder / destination.folder.name


@contextmanager
def dry_staging(destination: Destination) -> Iterator[Path]:
    """Yield a path as `staging` does, but far from the destination."""
    folder = Path(tempfile.gettempdir()) / f"fastforge-{secrets.token_hex(8)}"
    with _removed_in_the_end(folder):
        yield folder / destination.folder.name


@contextmanager
def _removed_in_the_end(folder: Path) -> Iterator[None]:
    # Twice, because the first and only `Interrupted` may come on the way into the first `finally`.
    try:
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def place(project: Path, destination: Destination) -> None:
    """Move the finished project to its destination. From here on no signal interrupts the command.

    In a folder that exists, files of the same name are replaced and all others are left alone; where that
    fails, every file goes back to where it was.

    Raises:
        Interrupted: A signal came before anything was moved.
        WorkFailed: Something is in the way.
    """
    interrupts.pass_the_point_of_no_return()
    if destination.exists:
        _merge(project, destination.folder)
        return
    try:
        project.rename(destination.folder)
    except OSError as error:
        raise WorkFailed(
            f"{str(destination.folder)!r} could not be made: {error.strerror}.", "Choose another PATH."
        ) from error


def _merge(project: Path, folder: Path) -> None:
    # Beside the staging folder, not in it: should the way back fail too, the user's files stay.
    replaced = folder / f"{project.parent.name}-replaced"
    replaced.mkdir()
    moves: list[tuple[Path, Path]] = []
    try:
        for source in _entries_to_move(project, folder):
            target = folder / source.relative_to(project)
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


def _entries_to_move(project: Path, folder: Path) -> Iterator[Path]:
    """Yield what to move: files, and whole folders where the destination has none of that name."""
    for entry in sorted(project.iterdir()):
        target = folder / entry.name
        both_are_folders = entry.is_dir() and target.is_dir() and not target.is_symlink()
        if both_are_folders:
            yield from (entry / inner.name for inner in _entries_to_move(entry, target))
        elif target.is_dir() and not target.is_symlink():
            raise WorkFailed(f"{str(target)!r} is a folder where the project has a file.", "Move it away.")
        else:
            yield entry

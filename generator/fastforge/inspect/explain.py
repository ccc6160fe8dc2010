"""The optimizations of a project: their places, their measured effects, and patches that undo them."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastforge.errors import UserError, WorkFailed
from fastforge.inspect.kit import OPTIMIZATIONS, kit_of
from fastforge.inspect.optimizations import ChangedHere, Optimization, Place, load_optimizations
from fastforge.project.locate import ANSWERS_FILE

# The number of optimizations shown for a line that has none.
_NEAREST = 3
_LINE = re.compile(r"(?P<file>.+):(?P<line>\d+)")


@dataclass(frozen=True)
class Subject:
    """A project, one of its files (relative to the project), or a line of one."""

    project: Path
    file: str | None
    line: int | None


@dataclass(frozen=True)
class Found:
    """One optimization as it is in a project.

    `places` has a file with its first and last line for each edit, and `undo` is a patch that removes it.
    Both are empty if the project's own edits are in the way, in the file `changed`.
    """

    optimization: Optimization
    places: Sequence[Place]
    changed: str | None
    undo: str

    def touches(self, subject: Subject) -> bool:
        """Return whether it is in the subject: in the project, in its file, or in its line."""
        if subject.line is None or self.changed:
            return subject.file in (None, *(edit.file for edit in self.optimization.edits))
        return self.distance(subject) == 0

    def distance(self, subject: Subject) -> float:
        """Return the number of lines between it and the subject's line; infinity for other files."""
        line = subject.line or 0
        return min(
            (
                max(place.first_line - line, line - place.last_line, 0)
                for place in self.places
                if place.file == subject.file
            ),
            default=float("inf"),
        )

    def document(self) -> dict[str, Any]:
        """Return it for `--json`."""
        measurement = self.optimization.measurement
        return {
            "id": self.optimization.id,
            "title": self.optimization.title,
            "since": self.optimization.since,
            "why": self.optimization.why,
            "applies_to": self.optimization.applies_to,
            "workload": self.optimization.workload,
            "places": [vars(place) for place in self.places],
            "changed_here": self.changed,
            "measurement": None if measurement is None else vars(measurement),
            "undo": self.undo or None,
        }


@dataclass(frozen=True)
class Explanation:
    """The optimizations of a subject, or the nearest ones of the file if the line has none.

    `files` are all files of the project that contain an optimization.
    """

    subject: Subject
    found: Sequence[Found]
    is_nearest: bool
    files: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Return everything for `--json`."""
        return {
            "path": str(self.subject.project),
            "file": self.subject.file,
            "line": self.subject.line,
            "nearest": self.is_nearest,
            "optimizations": [each.document() for each in self.found],
        }


def explain(path: str) -> Explanation:
    """Return the optimizations of a project, of a file in it, or of a line such as `app/main.py:12`.

    Raises:
        UserError: There is no such project, file or line.
        WorkFailed: The project's version had no descriptions of optimizations yet, or one cannot be read.
    """
    subject = _subject(path)
    found = [_find(each, subject.project) for each in _optimizations(subject.project)]
    touching = [each for each in found if each.touches(subject)]
    files = sorted({place.file for each in found for place in each.places})
    if touching or subject.line is None:
        return Explanation(subject, touching, is_nearest=False, files=files)
    in_file = [each for each in found if each.distance(subject) < float("inf")]
    nearest = sorted(in_file, key=lambda each: each.distance(subject))[:_NEAREST]
    return Explanation(subject, nearest, is_nearest=bool(nearest), files=files)


def _subject(path: str) -> Subject:
    place, line = Path(path), None
    if not place.exists() and (parts := _LINE.fullmatch(path)):
        place, line = Path(parts["file"]), int(parts["line"])
    if not place.exists():
        raise UserError(
            f"{str(place)!r} is not a file or directory.",
            "Give a project's directory, one of its files, or a line such as app/main.py:12.",
        )
    if place.is_dir():
        if line is not None:
            raise UserError(f"{str(place)!r} is a directory and has no lines.", "Give a file of it.")
        return Subject(_project_of(place.resolve(), [place.resolve()]), None, None)
    file = place.resolve()
    project = _project_of(file, file.parents)
    if line is not None:
        _refuse_no_line(place, line)
    return Subject(project, file.relative_to(project).as_posix(), line)


def _project_of(place: Path, candidates: Sequence[Path]) -> Path:
    for directory in candidates:
        if (directory / ANSWERS_FILE).is_file():
            return directory
    where = "has no" if place.is_dir() else "is not in a directory with"
    raise UserError(
        f"{str(place)!r} {where} {ANSWERS_FILE}, so FastForge did not generate it.",
        "Give the directory of one, or a file in it: fastforge explain PATH",
    )


def _refuse_no_line(file: Path, line: int) -> None:
    try:
        lines = len(file.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError:
        raise UserError(f"{str(file)!r} is not text, so it has no lines.", "Leave the line out.") from None
    if not 1 <= line <= lines:
        raise UserError(
            f"{str(file)!r} has {lines} lines, so line {line} does not exist.",
            f"Give one from 1 to {lines}, or leave it out." if lines else "Leave it out.",
        )


def _optimizations(project: Path) -> list[Optimization]:
    with kit_of(project) as kit:
        try:
            return load_optimizations(kit / OPTIMIZATIONS)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
            raise WorkFailed(
                f"An optimization of the project's version cannot be read: {error}.", "Upgrade FastForge."
            ) from error


def _find(optimization: Optimization, project: Path) -> Found:
    try:
        return Found(optimization, optimization.places(project), None, _undo(optimization, project))
    except ChangedHere as why:
        return Found(optimization, [], why.file, "")


def _undo(optimization: Optimization, project: Path) -> str:
    """Return the patch that removes the optimization."""
    patch: list[str] = []
    for file in dict.fromkeys(edit.file for edit in optimization.edits):
        old = new = (project / file).read_text(encoding="utf-8")
        for edit in optimization.edits:
            new = new.replace(edit.text, edit.without) if edit.file == file else new
        before, after = (text.splitlines(keepends=True) for text in (old, new))
        patch += difflib.unified_diff(before, after, f"a/{file}", f"b/{file}")
    return "".join(patch)

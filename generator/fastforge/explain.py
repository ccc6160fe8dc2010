"""Which optimizations a project contains: where, with what measured effect, and how to undo each."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastforge.errors import UserError, WorkFailed
from fastforge.kit import OPTIMIZATIONS, kit_of
from fastforge.project import ANSWERS_FILE
from fastforge.tunings import ChangedHere, Place, Tuning, load_tunings

# Of a line without any, so many optimizations around it are shown.
_NEAREST = 3
_LINE = re.compile(r"(?P<file>.+):(?P<line>\d+)")


@dataclass(frozen=True)
class Subject:
    """What is asked about: a project, one of its files (relative to the project), or a line of one."""

    project: Path
    file: str | None
    line: int | None


@dataclass(frozen=True)
class Found:
    """One optimization as it is in a project.

    `places` has a file with its first and last line for each edit, and `undo` is a patch that takes it out.
    Both are empty where the project's own edits are in the way, in the file `changed`.
    """

    tuning: Tuning
    places: Sequence[Place]
    changed: str | None
    undo: str

    def touches(self, subject: Subject) -> bool:
        """Tell whether it is in the file that is asked about, or in its line; in a project it always is."""
        if subject.line is None or self.changed:
            return subject.file in (None, *(edit.file for edit in self.tuning.edits))
        return self.distance(subject) == 0

    def distance(self, subject: Subject) -> float:
        """Return how many lines lie between it and the line asked about; infinitely many elsewhere."""
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
        """Return what `--json` says of it."""
        measured = self.tuning.measured
        return {
            "id": self.tuning.id,
            "title": self.tuning.title,
            "since": self.tuning.since,
            "why": self.tuning.why,
            "applies_to": self.tuning.applies_to,
            "workload": self.tuning.workload,
            "places": [vars(place) for place in self.places],
            "changed_here": self.changed,
            "measured": None if measured is None else vars(measured),
            "undo": self.undo or None,
        }


@dataclass(frozen=True)
class Explanation:
    """The optimizations that are asked about, or the nearest ones of the file if the line has none.

    `files` are all files of the project that contain an optimization.
    """

    subject: Subject
    found: Sequence[Found]
    is_nearest: bool
    files: Sequence[str]

    def document(self) -> dict[str, Any]:
        """Return the answer of `--json`."""
        return {
            "path": str(self.subject.project),
            "file": self.subject.file,
            "line": self.subject.line,
            "nearest": self.is_nearest,
            "tunings": [each.document() for each in self.found],
        }


def explain(path: str) -> Explanation:
    """Return the optimizations of a project's folder, of a file in it, or of a line such as `app/main.py:12`.

    Raises:
        UserError: There is no such project, file or line.
        WorkFailed: The project's version had no records of optimizations yet, or one cannot be read.
    """
    subject = _subject(path)
    found = [_find(tuning, subject.project) for tuning in _tunings(subject.project)]
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
            f"{str(place)!r} is no file or folder.",
            "Give a project's folder, one of its files, or a line such as app/main.py:12.",
        )
    if place.is_dir():
        if line is not None:
            raise UserError(f"{str(place)!r} is a folder and has no lines.", "Give a file of it.")
        return Subject(_project_of(place.resolve(), [place.resolve()]), None, None)
    file = place.resolve()
    project = _project_of(file, file.parents)
    if line is not None:
        _refuse_no_line(place, line)
    return Subject(project, file.relative_to(project).as_posix(), line)


def _project_of(place: Path, candidates: Sequence[Path]) -> Path:
    for folder in candidates:
        if (folder / ANSWERS_FILE).is_file():
            return folder
    where = "has no" if place.is_dir() else "lies under no folder with"
    raise UserError(
        f"{str(place)!r} {where} {ANSWERS_FILE}, so it is no project that FastForge made.",
        "Give the folder of one, or a file in it: fastforge explain PATH",
    )


def _refuse_no_line(file: Path, line: int) -> None:
    try:
        lines = len(file.read_text(encoding="utf-8").splitlines())
    except UnicodeDecodeError:
        raise UserError(f"{str(file)!r} is no text, so it has no lines.", "Leave the line out.") from None
    if not 1 <= line <= lines:
        raise UserError(
            f"{str(file)!r} has {lines} lines, so none has the number {line}.",
            f"Give one from 1 to {lines}, or leave it out." if lines else "Leave it out.",
        )


def _tunings(project: Path) -> list[Tuning]:
    with kit_of(project) as kit:
        try:
            return load_tunings(kit / OPTIMIZATIONS)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
            raise WorkFailed(
                f"A record of the project's version cannot be read: {error}.", "Upgrade FastForge."
            ) from error


def _find(tuning: Tuning, project: Path) -> Found:
    try:
        return Found(tuning, tuning.places(project), None, _undo(tuning, project))
    except ChangedHere as why:
        return Found(tuning, [], why.file, "")


def _undo(tuning: Tuning, project: Path) -> str:
    texts = {edit.file: (project / edit.file).read_text(encoding="utf-8") for edit in tuning.edits}
    without = dict(texts)
    for edit in tuning.edits:
        without[edit.file] = without[edit.file].replace(edit.text, edit.without)
    patches = (
        difflib.unified_diff(
            texts[file].splitlines(keepends=True),
            without[file].splitlines(keepends=True),
            f"a/{file}",
            f"b/{file}",
        )
        for file in texts
    )
    return "".join(line for patch in patches for line in patch)

"""The optimizations of this service as data: a TOML record each, with the edits that take it out.

The folder of a record is the answer that brings it; records in `every` belong to every service.
"""

import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "var", "node_modules", "__pycache__", ".*_cache")


class ChangedHere(Exception):
    """The project no longer has the text that a tuning's edit replaces, or has it more than once."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file} has been changed here, so it cannot be said what this tuning does in it.")
        self.file = file


@dataclass(frozen=True)
class Place:
    """Where an edit's text stands in a project: from this line to that, both counted from 1."""

    file: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class Edit:
    """One text of one file, and what stands there instead when the tuning is off."""

    file: str
    text: str
    without: str

    def place(self, project: Path) -> Place:
        """Return where the text stands. Raises `ChangedHere`."""
        content = self._content(project)
        first_line = content[: content.index(self.text)].count("\n") + 1
        return Place(self.file, first_line, first_line + self.text.rstrip("\n").count("\n"))

    def apply(self, project: Path) -> None:
        """Replace the text. Raises `ChangedHere`."""
        content = self._content(project)
        (project / self.file).write_text(content.replace(self.text, self.without), encoding="utf-8")

    def _content(self, project: Path) -> str:
        try:
            content = (project / self.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise ChangedHere(self.file) from None
        if content.count(self.text) != 1:
            raise ChangedHere(self.file)
        return content


@dataclass(frozen=True)
class Measured:
    """What `make receipts` of FastForge measured; `ratio` is the CPU time of a request without the tuning, with = 1.

    `low` and `high` bound the middle half of the rounds.
    """

    ratio: float
    low: float
    high: float
    verdict: str
    cpu_us: float
    cpu_us_without: float
    date: str
    machine: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Tuning:
    """One optimization: `since` is the version that brought it, `workload` the one that shows its effect.

    What it takes to see the effect: `environment` holds variables of the service, such as a cache's time, `headers`
    are added to each request of the workload, of which only the first `requests` are sent, again and again.
    """

    id: str
    applies_to: str
    title: str
    since: str
    why: str
    workload: str
    edits: Sequence[Edit]
    measured: Measured | None
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: int | None = None

    def asked(self, requests: Sequence[bytes]) -> list[bytes]:
        """Return the HTTP requests of its workload as they show its effect."""
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode()
        return [request.replace(b"\r\n", b"\r\n" + more, 1) for request in requests[: self.requests]]

    def places(self, project: Path) -> list[Place]:
        """Return where it stands in the project. Raises `ChangedHere`."""
        return [edit.place(project) for edit in self.edits]


def load_tunings(folder: Path) -> list[Tuning]:
    """Return the tunings whose records are in the folder, in a fixed order."""
    return [read_tuning(path) for path in sorted(folder.glob("*/*.toml"))]


def read_tuning(path: Path) -> Tuning:
    """Return the tuning that a record describes."""
    record: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    edits = [Edit(**edit) for edit in record.pop("edit")]
    measured = record.pop("measured", None)
    return Tuning(
        id=path.stem,
        applies_to=path.parent.name,
        edits=edits,
        measured=Measured(**measured) if measured else None,
        **record,
    )


@contextmanager
def without(tuning: Tuning, project: Path) -> Iterator[Path]:
    """Yield a copy of the project with the tuning off, gone afterwards. Raises `ChangedHere`."""
    with tempfile.TemporaryDirectory(prefix=f"without-{tuning.id}-") as folder:
        copy = Path(folder) / "project"
        shutil.copytree(project, copy, ignore=NOT_COPIED, symlinks=True)
        for edit in tuning.edits:
            edit.apply(copy)
        yield copy

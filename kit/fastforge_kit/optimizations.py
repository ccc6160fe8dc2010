"""The optimizations of a service as data: one TOML file each, with the edits that remove it.

The directory of a file is the answer that includes the optimization; those in `every` are in every service.
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
    """The project no longer has the text that an edit replaces, or has it more than once."""

    def __init__(self, file: str) -> None:
        super().__init__(f"{file} has been changed here, so this optimization cannot be removed from it.")
        self.file = file


@dataclass(frozen=True)
class Place:
    """The place of an edit's text in a project: a file, its first and its last line, counted from 1."""

    file: str
    first_line: int
    last_line: int


@dataclass(frozen=True)
class Edit:
    """A text of a file, and its replacement when the optimization is off."""

    file: str
    text: str
    without: str

    def place(self, project: Path) -> Place:
        """Return the place of the text. Raises `ChangedHere`."""
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
class OptimizationMeasurement:
    """The effect of an optimization as `make bench-optimizations` of FastForge measured it.

    `ratio` is the CPU time of a request without it, relative to the time with it. The true median of the ratio is
    between `low` and `high`.
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
class Optimization:
    """An optimization: its first version, its purpose, and the workload that shows its effect.

    `environment` has variables that the service needs to show it, such as the lifetime of cached rows. `headers` are
    added to each request of the workload, of which only the first `requests` are sent, again and again.
    """

    id: str
    applies_to: str
    title: str
    since: str
    why: str
    workload: str
    edits: Sequence[Edit]
    measurement: OptimizationMeasurement | None
    environment: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: int | None = None

    def requests_of(self, requests: Sequence[bytes]) -> list[bytes]:
        """Return those of the workload's HTTP requests that show the effect, with the headers that they need."""
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items()).encode()
        return [request.replace(b"\r\n", b"\r\n" + more, 1) for request in requests[: self.requests]]

    def places(self, project: Path) -> list[Place]:
        """Return its places in the project. Raises `ChangedHere`."""
        return [edit.place(project) for edit in self.edits]


def load_optimizations(folder: Path) -> list[Optimization]:
    """Return the optimizations in the folder, in a fixed order."""
    return [read_optimization(path) for path in sorted(folder.glob("*/*.toml"))]


def read_optimization(path: Path) -> Optimization:
    """Return the optimization that a file describes."""
    described: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    edits = [Edit(**edit) for edit in described.pop("edit")]
    measurement = described.pop("measurement", None)
    return Optimization(
        id=path.stem,
        applies_to=path.parent.name,
        edits=edits,
        measurement=OptimizationMeasurement(**measurement) if measurement else None,
        **described,
    )


@contextmanager
def without(optimization: Optimization, project: Path) -> Iterator[Path]:
    """Yield a copy of the project without the optimization, and remove it afterwards. Raises `ChangedHere`."""
    with tempfile.TemporaryDirectory(prefix=f"without-{optimization.id}-") as folder:
        copy = Path(folder) / "project"
        shutil.copytree(project, copy, ignore=NOT_COPIED, symlinks=True)
        for edit in optimization.edits:
            edit.apply(copy)
        yield copy

"""Edits of owners that an update lost, line by line and file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

Contents = Mapping[str, tuple[str, bytes]]
Lines = Counter[bytes]


@dataclass(frozen=True)
class Sides:
    """A project as generated (`old`), `edited` by its owners, and `after` an update to `new`."""

    old: Contents
    edited: Contents
    new: Contents
    after: Contents
    conflicts: Collection[str]

    def count_lines(self) -> int:
        """Return the number of lines that the owners added or removed, which `losses` checks."""
        return sum(
            ((ours - before) + (before - ours)).total()
            for path in self.old.keys() | self.edited.keys()
            for before, ours in [self._in_form_of_owners(path)]
        )

    def losses(self) -> list[str]:
        """Return the losses.

        Each line that the owners wrote must be in its file as often as they wrote it, or in a file added
        by the update (under a new name). Without a conflict, no line that they removed may be back, and
        the lines of the template must be there. Links, executable bits and deleted files must be unchanged.
        """
        paths = sorted(self.old.keys() | self.edited.keys())
        return [loss for path in paths for loss in (*self._kind_lost(path), *self._lines_lost(path))]

    def _kind_lost(self, path: str) -> Iterator[str]:
        was, ours, now = (
            each[path][0] if path in each else "gone" for each in (self.old, self.edited, self.after)
        )
        if path not in self.conflicts and was != ours != now:
            yield f"{path}: is {now}, was {ours}"

    def _lines_lost(self, path: str) -> Iterator[str]:
        before, ours = self._in_form_of_owners(path)
        now = _lines(self.after, path)
        yield from (f"{path}: lost {line!r}" for line in ours - before - now - self._arrived())
        if path in self.conflicts or path not in self.edited or path not in self.after:
            return
        came = self._brought(path) if path in self.old else self._brought_to_renamed()
        yield from (f"{path}: back is {line!r}" for line in now - ours - came)
        if path in self.old:
            yield from (f"{path}: did not come {line!r}" for line in came - now)

    def _arrived(self) -> Lines:
        return sum((_lines(self.after, path) for path in self.after.keys() - self.edited.keys()), Lines())

    def _brought(self, path: str) -> Lines:
        is_crlf = self._is_crlf(path)
        return _lines(self.new, path, is_crlf) - _lines(self.old, path, is_crlf)

    def _brought_to_renamed(self) -> Lines:
        return sum((self._brought(path) for path in self.old.keys() - self.edited.keys()), Lines())

    def _in_form_of_owners(self, path: str) -> tuple[Lines, Lines]:
        return _lines(self.old, path, self._is_crlf(path)), _lines(self.edited, path)

    def _is_crlf(self, path: str) -> bool:
        return path in self.edited and b"\r\n" in self.edited[path][1]


def _lines(contents: Contents, path: str, is_crlf: bool = False) -> Lines:
    if path not in contents:
        return Lines()
    *rows, rest = contents[path][1].split(b"\n")
    return Lines([*(row + b"\r" * is_crlf for row in rows), *([rest] if rest else [])])

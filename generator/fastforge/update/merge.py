"""Merge a project with a newer rendering of its template: git's three-way merge, in a separate repository.

The three sides are the template rendered as it was (base), the user's committed project, and the template
rendered as it is now. The objects of the user's repository are read; nothing is written to it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastforge.errors import WorkFailed
from fastforge.git import HERMETIC, GitFailed, run_git, run_git_bytes
from fastforge.project.locate import Project

_GITLINK = "160000"
# Compare bytes as they are, whatever attributes the rendered files or the user set.
_NO_CONVERSION = "* -text !eol !filter !ident !working-tree-encoding\n"


@dataclass(frozen=True)
class Entry:
    """A file in a tree: its mode in git, and the hash of its content."""

    mode: str
    blob: str


Tree = Mapping[str, Entry]


@dataclass(frozen=True)
class Unmerged:
    """One side of a conflict in git's index: stage 1 is the base, 2 the user's, 3 the template's."""

    path: str
    stage: int
    entry: Entry


@dataclass(frozen=True)
class Merged:
    """The outcome. `result` is the whole project, including the markers of conflicts.

    `kept_deleted` are files that the template changed and the user had deleted. They stay deleted.
    """

    yours: Tree
    result: Tree
    unmerged: list[Unmerged]
    kept_deleted: list[str]

    @property
    def conflicts(self) -> list[str]:
        """The paths that need the user's attention."""
        return sorted({each.path for each in self.unmerged})

    @property
    def changed(self) -> list[str]:
        """The paths of files that are added, deleted or modified, and of conflicts."""
        paths = self.yours.keys() | self.result.keys()
        differing = {path for path in paths if self.yours.get(path) != self.result.get(path)}
        return sorted(differing | set(self.conflicts))

    def kind(self, path: str) -> str:
        """Return the kind of the change: conflict, added, deleted or modified."""
        if path in self.conflicts:
            return "conflict"
        if path not in self.yours:
            return "added"
        return "modified" if path in self.result else "deleted"


class Scratch:
    """A bare repository in a temporary directory that reads the user's objects and writes its own."""

    def __init__(self, directory: Path, project: Project) -> None:
        self.directory = directory
        self.git_directory = directory / "merge.git"
        form = run_git(project.top, "rev-parse", "--show-object-format")
        run_git(
            directory, "init", "--quiet", "--bare", f"--object-format={form}", "merge.git", variables=HERMETIC
        )
        objects = project.git_path("objects").resolve()
        (self.git_directory / "objects/info/alternates").write_bytes(os.fsencode(f"{objects}\n"))
        (self.git_directory / "info").mkdir(exist_ok=True)
        (self.git_directory / "info/attributes").write_text(_NO_CONVERSION)

    def git(self, *arguments: str, stdin: str = "") -> str:
        """Return the output of git; see `run_git`."""
        return run_git(
            self.directory, f"--git-dir={self.git_directory}", *arguments, stdin=stdin, variables=HERMETIC
        )

    def git_bytes(self, *arguments: str, stdin: bytes = b"", expected: Collection[int] = (0,)) -> bytes:
        """Return the output of git; see `run_git_bytes`."""
        command = (f"--git-dir={self.git_directory}", *arguments)
        return run_git_bytes(self.directory, *command, stdin=stdin, variables=HERMETIC, expected=expected)

    def read_blobs(self, blobs: Sequence[str]) -> dict[str, bytes]:
        """Return the content of each blob, by its hash."""
        printed = self.git_bytes("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs).encode())
        contents, at = {}, 0
        for blob in blobs:
            begin = printed.index(b"\n", at) + 1
            end = begin + int(printed[at:begin].split()[2])
            contents[blob], at = printed[begin:end], end + 1
        return contents

    def read_directory(self, directory: Path) -> Tree:
        """Return the tree of everything in the directory, including ignored files."""
        self.git("read-tree", "--empty")
        work_tree = (f"--work-tree={directory}", "-c", "core.bare=false")
        run_git(directory, f"--git-dir={self.git_directory}", *work_tree, "add", "--all", "--force", ".",
                variables=HERMETIC)  # fmt: skip
        return self.read_tree(self.git("write-tree"))

    def read_tree(self, tree: str) -> Tree:
        """Return the files of the tree."""
        rows = self.git("ls-tree", "-r", "-z", "--full-tree", tree).split("\0")
        return {path: Entry(mode, blob) for row in rows if row for mode, blob, path in [_tree_row(row)]}

    def write_tree(self, tree: Tree) -> str:
        """Return the hash of the tree."""
        self.git("read-tree", "--empty")
        rows = [f"{entry.mode} {entry.blob}\t{path}\0" for path, entry in tree.items()]
        self.git("update-index", "-z", "--index-info", stdin="".join(rows))
        return self.git("write-tree", "--missing-ok")


def merge(
    scratch: Scratch, project: Project, old: Tree, new: Tree, version: str, *, apart: Collection[str]
) -> Merged:
    """Return the user's project with the changes from `old` to `new`.

    The new files `apart` are never taken for renamed files, however similar, so that no edits move to them.

    Raises:
        WorkFailed: Git is too old.
    """
    yours = scratch.read_tree(project.tree)
    if new == old:
        return Merged(yours, yours, [], [])
    base, theirs = _with_line_endings(scratch, old, yours, new)
    arriving = {path: theirs.pop(path) for path in apart if path in theirs and path not in yours}
    printed = _merge_trees(scratch, base, yours, theirs, version)
    tree, *sections = printed.split("\0")
    unmerged = [_unmerged(row) for row in sections[: sections.index("")]]
    result = {**scratch.read_tree(tree), **arriving}
    kept_deleted = _stay_deleted(base, yours, unmerged)
    return Merged(
        yours,
        {path: entry for path, entry in result.items() if path not in kept_deleted},
        [each for each in unmerged if each.path not in kept_deleted],
        sorted(kept_deleted),
    )


def _merge_trees(scratch: Scratch, base: Tree, yours: Tree, theirs: Tree, version: str) -> str:
    root = scratch.git("commit-tree", scratch.write_tree(base), "-m", "The template as it was")
    template = f"template-{version}"
    for name, tree in (("yours", yours), (template, theirs)):
        commit = scratch.git("commit-tree", scratch.write_tree(tree), "-p", root, "-m", name)
        scratch.git("update-ref", f"refs/heads/{name}", commit)
    try:
        printed = scratch.git_bytes("merge-tree", "--write-tree", "-z", "yours", template, expected=(0, 1))
    except GitFailed as error:
        raise WorkFailed(
            f"git cannot merge: {error}.", "FastForge's updates need git 2.38 or newer."
        ) from error
    return os.fsdecode(printed)


def _stay_deleted(base: Tree, yours: Tree, unmerged: list[Unmerged]) -> set[str]:
    stages: dict[str, set[int]] = {}
    for each in unmerged:
        stages.setdefault(each.path, set()).add(each.stage)
    return {path for path, found in stages.items() if found == {1, 3} and path in base and path not in yours}


def _with_line_endings(
    scratch: Scratch, old: Tree, yours: Tree, new: Tree
) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """Return both renderings, with CRLF where the user has it. Otherwise, every line would conflict."""
    base, theirs = dict(old), dict(new)
    paths = [
        path
        for path in old.keys() & yours.keys() & new.keys()
        if old[path].blob not in (yours[path].blob, new[path].blob)
        and _GITLINK not in (yours[path].mode, old[path].mode)
    ]
    contents = scratch.read_blobs([tree[path].blob for path in paths for tree in (old, yours)])
    for path in paths:
        if _is_crlf(contents[yours[path].blob]) and not _is_crlf(contents[old[path].blob]):
            base[path], theirs[path] = _as_crlf(scratch, old[path]), _as_crlf(scratch, new[path])
    return base, theirs


def _is_crlf(content: bytes) -> bool:
    return b"\r\n" in content and content.count(b"\n") == content.count(b"\r\n")


def _as_crlf(scratch: Scratch, entry: Entry) -> Entry:
    content = (
        scratch.git_bytes("cat-file", "blob", entry.blob).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    )
    blob = scratch.git_bytes("hash-object", "-w", "--stdin", "--no-filters", stdin=content)
    return Entry(entry.mode, blob.decode().strip())


def _tree_row(row: str) -> tuple[str, str, str]:
    facts, path = row.split("\t", 1)
    mode, _kind, blob = facts.split()
    return mode, blob, path


def _unmerged(row: str) -> Unmerged:
    facts, path = row.split("\t", 1)
    mode, blob, stage = facts.split()
    return Unmerged(path, int(stage), Entry(mode, blob))

"""Merges a project with what its template became: git's own three-way merge, in a repository of its own.

The three sides are the template rendered as it was (base), the user's committed project, and the template
rendered as it is now. Nothing is written to the user's repository, whose objects are only read.
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
# Whatever the rendered files or the user's attributes say: bytes are compared as they are.
_NO_CONVERSION = "* -text !eol !filter !ident !working-tree-encoding\n"


@dataclass(frozen=True)
class Entry:
    """A file in a tree: git's mode for it, and the hash of its content."""

    mode: str
    blob: str


Tree = Mapping[str, Entry]


@dataclass(frozen=True)
class Unmerged:
    """One side of a conflict, as git's index has it: stage 1 is the base, 2 the user's, 3 the template's."""

    path: str
    stage: int
    entry: Entry


@dataclass(frozen=True)
class Merged:
    """The outcome. `result` is the whole project, conflicts with their markers included.

    `kept_deleted` are files that the template changed and the user had deleted: they stay deleted.
    """

    yours: Tree
    result: Tree
    unmerged: list[Unmerged]
    kept_deleted: list[str]

    @property
    def conflicts(self) -> list[str]:
        """The paths that the user has to look at."""
        return sorted({each.path for each in self.unmerged})

    @property
    def changed(self) -> list[str]:
        """The paths of files that come, go or change, and of conflicts."""
        paths = self.yours.keys() | self.result.keys()
        differing = {path for path in paths if self.yours.get(path) != self.result.get(path)}
        return sorted(differing | set(self.conflicts))

    def kind(self, path: str) -> str:
        """Return what happens to the path: conflict, added, deleted or modified."""
        if path in self.conflicts:
            return "conflict"
        if path not in self.yours:
            return "added"
        return "modified" if path in self.result else "deleted"


class Scratch:
    """A bare repository in a temporary folder that sees the user's objects and keeps its own."""

    def __init__(self, folder: Path, project: Project) -> None:
        self.folder = folder
        self.git_folder = folder / "merge.git"
        form = run_git(project.top, "rev-parse", "--show-object-format")
        run_git(
            folder, "init", "--quiet", "--bare", f"--object-format={form}", "merge.git", variables=HERMETIC
        )
        objects = project.git_path("objects").resolve()
        (self.git_folder / "objects/info/alternates").write_bytes(os.fsencode(f"{objects}\n"))
        (self.git_folder / "info").mkdir(exist_ok=True)
        (self.git_folder / "info/attributes").write_text(_NO_CONVERSION)

    def git(self, *arguments: str, stdin: str = "") -> str:
        """Return what git prints; see `run_git`."""
        return run_git(
            self.folder, f"--git-dir={self.git_folder}", *arguments, stdin=stdin, variables=HERMETIC
        )

    def git_bytes(self, *arguments: str, stdin: bytes = b"", expected: Collection[int] = (0,)) -> bytes:
        """Return what git prints; see `run_git_bytes`."""
        command = (f"--git-dir={self.git_folder}", *arguments)
        return run_git_bytes(self.folder, *command, stdin=stdin, variables=HERMETIC, expected=expected)

    def read_blobs(self, blobs: Sequence[str]) -> dict[str, bytes]:
        """Return what each blob holds, by its hash."""
        printed = self.git_bytes("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs).encode())
        contents, at = {}, 0
        for blob in blobs:
            begin = printed.index(b"\n", at) + 1
            end = begin + int(printed[at:begin].split()[2])
            contents[blob], at = printed[begin:end], end + 1
        return contents

    def read_folder(self, folder: Path) -> Tree:
        """Return the tree of everything in the folder, ignored files included."""
        self.git("read-tree", "--empty")
        work_tree = (f"--work-tree={folder}", "-c", "core.bare=false")
        run_git(folder, f"--git-dir={self.git_folder}", *work_tree, "add", "--all", "--force", ".",
                variables=HERMETIC)  # fmt: skip
        return self.read_tree(self.git("write-tree"))

    def read_tree(self, tree: str) -> Tree:
        """Return what the tree holds."""
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
    """Return the user's project with the step from `old` to `new` taken.

    The new files `apart` are no new names of old ones, however similar: what was edited there must not move.

    Raises:
        WorkFailed: Git is too old to merge so.
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
    """Return both renderings with CRLF in the files that the user keeps so, or every line would conflict."""
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

"""Apply a merge to the work tree and the index, completely or not at all, with a way back.

The new files, links to the old ones and a new index are prepared in git's directory. Then a journal is
written, the files are replaced one by one, and the index last. A failure on the way is undone at once. After
a power cut, the next command finds the journal, and undoes what it names.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastforge import interrupts
from fastforge.errors import WorkFailed
from fastforge.git import run_git, run_git_bytes
from fastforge.project.locate import Project
from fastforge.update.merge import Entry, Merged, Scratch
from fastforge.update.preconditions import refuse_blocked, refuse_read_only

_JOURNAL = "journal.json"
# The content of the lock of git's index while it belongs to FastForge.
_OURS = b"fastforge"


class UpdateTransaction:
    """The step of a project to the outcome of a merge."""

    def __init__(self, project: Project, merged: Merged) -> None:
        self.project = project
        self.merged = merged
        self.state = project.state_directory

    def run(
        self,
        scratch: Scratch,
        facts: dict[str, Any],
        last_exit: Callable[[], None] = interrupts.raise_pending,
    ) -> None:
        """Change the work tree and the index. The facts are kept for `undo`.

        `last_exit` is called before the first file changes. A command that ends with this passes
        `interrupts.pass_the_point_of_no_return`, so that a signal cannot make finished work look undone.

        Raises:
            WorkFailed: A file that would change has uncommitted changes or is in a directory without write
                permission, or another git command is running.
            Interrupted: Ctrl-C or SIGTERM came before the first file changed.
        """
        with _index_locked(self.project) as lock:
            refuse_blocked(self.project, self.merged)
            refuse_read_only(self.project, self.merged)
            shutil.rmtree(self.state, ignore_errors=True)
            self.state.mkdir(parents=True)
            try:
                self._prepare(scratch)
                journal = facts | self._journal()
                with interrupts.held():
                    last_exit()
                    self._commit(journal, lock)
            except BaseException:
                with interrupts.held():
                    _put_back(self.project)
                    shutil.rmtree(self.state, ignore_errors=True)
                raise

    def _prepare(self, scratch: Scratch) -> None:
        self._copy_objects(scratch)
        self._write_new_files()
        self._keep_old_files()
        self._write_index()

    def _copy_objects(self, scratch: Scratch) -> None:
        blobs = {self.merged.result[path].blob for path in self._remaining()}
        blobs |= {each.entry.blob for each in self.merged.unmerged}
        packed = scratch.git_bytes(
            "pack-objects", "--stdout", "--quiet", stdin="\n".join(sorted(blobs)).encode() + b"\n"
        )
        run_git_bytes(self.project.top, "unpack-objects", "-q", stdin=packed)

    def _write_new_files(self) -> None:
        """Write the new files to `after/`, converted as git converts what the user checks out."""
        rows = [self._index_row(path, self.merged.result[path]) for path in self._remaining()]
        written, after = self.state / "written", self.state / "after"
        written.mkdir()
        index = self.state / "written.index"
        _update_index(self.project, index, rows)
        variables = {"GIT_INDEX_FILE": str(index)}
        run_git(self.project.top, "checkout-index", "--all", f"--prefix={written}/", variables=variables)
        (written / self.project.prefix).rename(after) if rows else after.mkdir()
        for path in self._remaining():
            if path in self.merged.yours:
                _keep_permissions(self.project.root / path, after / path)

    def _keep_old_files(self) -> None:
        before = self.state / "before"
        before.mkdir()
        for path in self.merged.changed:
            if path in self.merged.yours:
                (before / path).parent.mkdir(parents=True, exist_ok=True)
                _link(self.project.root / path, before / path)

    def _write_index(self) -> None:
        index = self.project.git_path("index")
        shutil.copyfile(index, self.state / "index.before")
        shutil.copyfile(index, self.state / "index.after")
        merged = self.merged
        resolved = [path for path in self._remaining() if path not in merged.conflicts]
        rows = [
            *_removal_rows(self.project, merged.changed),
            *(self._index_row(path, merged.result[path]) for path in resolved),
            *(self._index_row(each.path, each.entry, f" {each.stage}") for each in merged.unmerged),
        ]
        _update_index(self.project, self.state / "index.after", rows)

    def _journal(self) -> dict[str, Any]:
        changed = self.merged.changed
        return {
            "head": self.project.head,
            "moving": True,
            "yours": {path: path in self.merged.yours for path in changed},
            "hashes": {path: _hash(self.state / "after" / path) for path in changed},
        }

    def _commit(self, journal: dict[str, Any], lock: Path) -> None:
        _write_journal(self.state, journal)
        for path in self.merged.changed:
            if path not in self.merged.result:
                _remove(self.project.root, path)
        for path in self._remaining():
            _bring(self.state / "after" / path, self.project.root / path)
        (self.state / "index.after").replace(lock)
        lock.rename(self.project.git_path("index"))
        _write_journal(self.state, journal | {"moving": False})
        shutil.rmtree(self.state / "after", ignore_errors=True)

    def _remaining(self) -> list[str]:
        """Return the paths that change and that exist afterwards."""
        return [path for path in self.merged.changed if path in self.merged.result]

    def _index_row(self, path: str, entry: Entry, stage: str = "") -> str:
        return f"{entry.mode} {entry.blob}{stage}\t{self.project.prefix}{path}\0"


def recover(project: Project) -> bool:
    """Undo an update that a power cut or a kill interrupted, and return True if there was one."""
    lock = project.git_path("index.lock")
    if not was_cut_off(project) and not _is_ours(lock):
        return False
    with _alone(project), interrupts.held():
        # Checked a second time: the update may have been running, and be complete by now.
        cut_off = was_cut_off(project)
        if cut_off:
            _put_back(project)
            shutil.rmtree(project.state_directory, ignore_errors=True)
        if cut_off or _is_ours(lock):
            lock.unlink(missing_ok=True)
    return cut_off


def was_cut_off(project: Project) -> bool:
    """Return True if an update was interrupted between its first and its last file, or is running."""
    journal = read_journal(project)
    return bool(journal and journal["moving"])


def undo(project: Project) -> tuple[list[str], Path | None]:
    """Undo the last update. Return its files, and the directory that keeps changes made since, if any.

    Raises:
        WorkFailed: Nothing can be undone, or the update was committed.
    """
    journal = read_journal(project)
    if not journal:
        raise WorkFailed(f"{str(project.directory)!r} has no update to undo.", "See: git log")
    if journal["head"] != project.head:
        raise WorkFailed("The update was committed.", "Undo it with: git revert <the commit>")
    state = project.state_directory
    with _index_locked(project) as lock, interrupts.held():
        kept = _keep_changes_since(project, journal)
        index = state / "index"
        shutil.copyfile(project.git_path("index"), index)
        _reset_to_head(project, journal["yours"], index)
        _put_back(project, with_index=False)
        index.replace(lock)
        lock.rename(project.git_path("index"))
        shutil.rmtree(state, ignore_errors=True)
    return sorted(journal["yours"]), kept


def read_journal(project: Project) -> dict[str, Any] | None:
    """Return what the last update left for `undo`, or None."""
    try:
        journal: dict[str, Any] = json.loads((project.state_directory / _JOURNAL).read_bytes())
    except (OSError, ValueError):
        return None
    return journal


@contextmanager
def _index_locked(project: Project) -> Iterator[Path]:
    """Hold git's own lock of the index, so that no git command interferes."""
    lock = project.git_path("index.lock")
    with _alone(project):
        try:
            file = lock.open("xb", buffering=0)
        except FileExistsError as error:
            raise WorkFailed(
                f"Another git command is running ({str(lock)!r} exists).",
                "Wait for it, and try again; remove that file if none is running.",
            ) from error
        try:
            with file:
                file.write(_OURS)
            yield lock
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """Keep other updates out; the lock ends with the process, however that ends."""
    directory = project.state_directory.parent
    directory.mkdir(exist_ok=True)
    with (directory / "running").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkFailed(
                f"Another update of {str(project.directory)!r} is running.", "Wait for it, and try again."
            ) from error
        yield


def _is_ours(lock: Path) -> bool:
    try:
        return lock.read_bytes() == _OURS
    except OSError:
        return False


def _keep_permissions(old: Path, new: Path) -> None:
    """Give the new file the permissions of the old one; git itself only records the executable bit."""
    if old.is_symlink() or new.is_symlink():
        return
    permissions = stat.S_IMODE(old.stat().st_mode)
    if new.stat().st_mode & stat.S_IXUSR:
        # As with git, everyone who may read it may execute it.
        permissions |= (permissions & 0o444) >> 2
    elif permissions & stat.S_IXUSR:
        permissions &= ~0o111
    new.chmod(permissions)


def _write_journal(state: Path, journal: dict[str, Any]) -> None:
    written = state / f"{_JOURNAL}.new"
    with written.open("w", encoding="ascii") as file:
        json.dump(journal, file)
        file.flush()
        os.fsync(file.fileno())
    written.rename(state / _JOURNAL)


def _put_back(project: Project, *, with_index: bool = True) -> None:
    """Restore what the journal names. Without a journal, nothing had changed."""
    journal = read_journal(project)
    if not journal:
        return
    root, before = project.root, project.state_directory / "before"
    for path, was_there in journal["yours"].items():
        if not was_there:
            _remove(root, path)
    for path, was_there in journal["yours"].items():
        if was_there and not _is_one_file(before / path, root / path):
            _bring(before / path, root / path)
    if with_index:
        _bring(project.state_directory / "index.before", project.git_path("index"))


def _keep_changes_since(project: Project, journal: dict[str, Any]) -> Path | None:
    """Copy each file that was changed after the update to a directory, and return it, or None."""
    changed = [
        path
        for path, written in journal["hashes"].items()
        if _hash(project.root / path) not in (None, written)
    ]
    state = project.state_directory
    kept = state.with_name(f"{state.name}-taken-back")
    for path in changed:
        (kept / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project.root / path, kept / path, follow_symlinks=False)
    return kept if changed else None


def _reset_to_head(project: Project, paths: Iterable[str], index: Path) -> None:
    inside = [f"{project.prefix}{path}" for path in paths]
    listed = run_git(
        project.top, "--literal-pathspecs", "ls-tree", "-z", "--full-tree", "HEAD", "--", *inside
    )
    recorded = [f"{row}\0" for row in listed.split("\0") if row]
    _update_index(project, index, [*_removal_rows(project, paths), *recorded])


def _removal_rows(project: Project, paths: Iterable[str]) -> list[str]:
    no_blob = "0" * len(project.head)
    return [f"0 {no_blob}\t{project.prefix}{path}\0" for path in paths]


def _update_index(project: Project, index: Path, rows: Iterable[str]) -> None:
    variables = {"GIT_INDEX_FILE": str(index)}
    run_git(project.top, "update-index", "-z", "--index-info", stdin="".join(rows), variables=variables)


def _bring(source: Path, target: Path) -> None:
    """Put the file at `target` in one step, and keep it at `source`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name[:200]}.fastforge")
    beside.unlink(missing_ok=True)
    try:
        _link(source, beside)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def _is_one_file(first: Path, second: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(first.lstat(), second.lstat())
    return False


def _remove(root: Path, path: str) -> None:
    (root / path).unlink(missing_ok=True)
    for parent in (root / path).parents:
        if parent == root:
            return
        with suppress(OSError):
            parent.rmdir()


def _hash(file: Path) -> str | None:
    """Return a hash of the file's content or the link's target, or None if the file does not exist."""
    if file.is_symlink():
        return hashlib.sha256(os.fsencode(os.readlink(file))).hexdigest()  # noqa: PTH115
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None

"""Puts a merged project in the place of the user's: all of it or nothing, and with a way back.

Everything is prepared beside git's own files: the new files, links to the old ones, a new index. Then a
journal is written, the files change places one by one, and the index last. Whatever goes wrong on the way is
undone at once; after a power cut the next command finds the journal and undoes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fastforge import interrupts
from fastforge.errors import WorkFailed
from fastforge.git import run_git, run_git_bytes
from fastforge.update.merge import Merged, Scratch
from fastforge.project.locate import Project

_JOURNAL = "journal.json"
# What the lock of git's index holds while it is FastForge's.
_OURS = b"fastforge"


def transplant(
    project: Project,
    merged: Merged,
    scratch: Scratch,
    facts: dict[str, Any],
    last_exit: Callable[[], None] = interrupts.raise_pending,
) -> None:
    """Change the work tree and the index to the merged project. The facts are kept for `undo`.

    `last_exit` is called before the first file changes: a command that ends with this passes
    `interrupts.pass_the_point_of_no_return`, so that no signal makes what is done look undone.

    Raises:
        WorkFailed: A file that would change has uncommitted changes or lies where you may not write, or
            another git command is running.
        Interrupted: Ctrl-C or SIGTERM before the first file changed.
    """
    state = project.state_folder
    with _index_locked(project) as lock:
        refuse_blocked(project, merged)
        _refuse_locked_folders(project, merged)
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        try:
            _copy_objects(project, merged, scratch)
            _lay_out(project, merged, state)
            _keep_old_files(project, merged, state)
            _write_index(project, merged, state)
            journal = facts | {
                "head": project.head,
                "moving": True,
                "yours": {path: path in merged.yours for path in merged.changed},
                "hashes": {path: _hash(state / "after" / path) for path in merged.changed},
            }
            with interrupts.held():
                last_exit()
                _move(project, merged, state, lock, journal)
        except BaseException:
            with interrupts.held():
                _put_back(project, state)
                shutil.rmtree(state, ignore_errors=True)
            raise


def refuse_blocked(project: Project, merged: Merged) -> None:
    """Refuse where an update would write over something that is not committed.

    Raises:
        WorkFailed: It names the files.
    """
    inside = [f"{project.prefix}{path}" for path in merged.changed]
    tracked = [path for path, name in zip(inside, merged.changed, strict=True) if name in merged.yours]
    left_out = _left_out(project, tracked)
    if left_out:
        raise WorkFailed(
            f"This checkout is sparse, and leaves out files that the update changes: {_listed(left_out)}",
            "Check them out first: git sparse-checkout disable",
        )
    blocked = {*_uncommitted(project, tracked), *_flagged(project, tracked)}
    for path in inside:
        if path not in tracked and _is_in_the_way(project.top, path, set(tracked)):
            blocked.add(path)
    if blocked:
        raise WorkFailed(
            f"The update would change what is not committed: {_listed(blocked)}",
            "Commit, stash or move it first; other changes may stay.",
        )


def _listed(paths: set[str]) -> str:
    names = ", ".join(repr(path) for path in sorted(paths)[:5])
    return names + (f" and {len(paths) - 5} more." if len(paths) > 5 else ".")


def _refuse_locked_folders(project: Project, merged: Merged) -> None:
    for path in merged.changed:
        folder = (project.top / project.prefix / path).parent
        while not folder.exists():
            folder = folder.parent
        if not os.access(folder, os.W_OK | os.X_OK):
            raise WorkFailed(
                f"Permission denied: you may not write into {str(folder)!r}.", "Nothing was changed."
            )


def recover(project: Project) -> bool:
    """Undo an update that a power cut or a kill stopped half-way, and tell whether there was one."""
    lock = project.git_path("index.lock")
    if not was_cut_off(project) and not _is_ours(lock):
        return False
    with _alone(project), interrupts.held():
        # Asked again: it may have been under way, and be done by now.
        cut_off = was_cut_off(project)
        if cut_off:
            _put_back(project, project.state_folder)
            shutil.rmtree(project.state_folder, ignore_errors=True)
        if cut_off or _is_ours(lock):
            lock.unlink(missing_ok=True)
    return cut_off


def was_cut_off(project: Project) -> bool:
    """Tell whether an update was stopped between its first and its last file, or is under way."""
    journal = read_journal(project)
    return bool(journal and journal["moving"])


def undo(project: Project) -> tuple[list[str], Path | None]:
    """Take the last update back. Return the files, and where changes made since are kept, if any were.

    Raises:
        WorkFailed: There is no update to take back, or it was committed.
    """
    journal = read_journal(project)
    if not journal:
        raise WorkFailed(f"No update of {str(project.folder)!r} can be taken back.", "See: git log")
    if journal["head"] != project.head:
        raise WorkFailed("The update was committed.", "Take it back with: git revert <the commit>")
    state = project.state_folder
    with _index_locked(project) as lock, interrupts.held():
        kept = _keep_changes_since(project, journal, state)
        index = state / "index"
        shutil.copyfile(project.git_path("index"), index)
        _index_like_head(project, list(journal["yours"]), index)
        _put_back(project, state, with_index=False)
        index.replace(lock)
        lock.rename(project.git_path("index"))
        shutil.rmtree(state, ignore_errors=True)
    return sorted(journal["yours"]), kept


def read_journal(project: Project) -> dict[str, Any] | None:
    """Return what the last update left for `undo`, or None."""
    try:
        journal: dict[str, Any] = json.loads((project.state_folder / _JOURNAL).read_bytes())
    except (OSError, ValueError):
        return None
    return journal


@contextmanager
def _index_locked(project: Project) -> Iterator[Path]:
    """Hold git's own lock of the index, so that no git command comes between."""
    lock = project.git_path("index.lock")
    with _alone(project):
        try:
            file = lock.open("xb", buffering=0)
        except FileExistsError as error:
            raise WorkFailed(
                f"Another git command is running ({str(lock)!r} is there).",
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
    folder = project.state_folder.parent
    folder.mkdir(exist_ok=True)
    with (folder / "running").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WorkFailed(
                f"Another update of {str(project.folder)!r} is under way.", "Wait for it, and try again."
            ) from error
        yield


def _is_ours(lock: Path) -> bool:
    try:
        return lock.read_bytes() == _OURS
    except OSError:
        return False


def _uncommitted(project: Project, tracked: list[str]) -> set[str]:
    if not tracked:
        return set()
    status = ("--no-optional-locks", "--literal-pathspecs", "status", "--porcelain", "-z", "--no-renames")
    listed = run_git(project.top, *status, "--untracked-files=no", "--ignore-submodules=none", "--", *tracked)
    return {row[3:] for row in listed.split("\0") if row}


def _flagged(project: Project, tracked: list[str]) -> set[str]:
    """Return the files whose changes git was told not to see (assume-unchanged, skip-worktree)."""
    if not tracked:
        return set()
    listed = run_git(project.top, "--literal-pathspecs", "ls-files", "-v", "-z", "--", *tracked).split("\0")
    return {row[2:] for row in listed if row and row[0] != "H"}


def _left_out(project: Project, tracked: list[str]) -> set[str]:
    """Return the files that a sparse checkout left out, which git flags as well."""
    return {path for path in _flagged(project, tracked) if not os.path.lexists(project.top / path)}


def _is_in_the_way(top: Path, path: str, leaving: set[str]) -> bool:
    if os.path.lexists(top / path) and not (top / path).is_dir():
        return True
    parents = [parent.as_posix() for parent in Path(path).parents][:-1]
    return any(
        os.path.lexists(top / parent)
        and ((top / parent).is_symlink() or not (top / parent).is_dir())
        and parent not in leaving
        for parent in parents
    )


def _copy_objects(project: Project, merged: Merged, scratch: Scratch) -> None:
    blobs = {merged.result[path].blob for path in merged.changed if path in merged.result}
    blobs |= {each.entry.blob for each in merged.unmerged}
    packed = scratch.git_bytes(
        "pack-objects", "--stdout", "--quiet", stdin="\n".join(sorted(blobs)).encode() + b"\n"
    )
    run_git_bytes(project.top, "unpack-objects", "-q", stdin=packed)


def _lay_out(project: Project, merged: Merged, state: Path) -> None:
    """Write the new files into `after/`, converted as the user's git converts what it checks out."""
    rows = [
        f"{entry.mode} {entry.blob}\t{project.prefix}{path}\0"
        for path, entry in merged.result.items()
        if path in merged.changed
    ]
    (state / "laid-out").mkdir()
    variables = {"GIT_INDEX_FILE": str(state / "laid-out.index")}
    run_git(project.top, "update-index", "-z", "--index-info", stdin="".join(rows), variables=variables)
    run_git(project.top, "checkout-index", "--all", f"--prefix={state}/laid-out/", variables=variables)
    (state / "laid-out" / project.prefix).rename(state / "after") if rows else (state / "after").mkdir()
    for path in merged.changed:
        if path in merged.yours and path in merged.result:
            _keep_permissions(project.top / project.prefix / path, state / "after" / path)


def _keep_permissions(old: Path, new: Path) -> None:
    """Give the new file the permissions of the old one; git itself knows only who may execute it."""
    if old.is_symlink() or new.is_symlink():
        return
    permissions = stat.S_IMODE(old.stat().st_mode)
    if new.stat().st_mode & stat.S_IXUSR:
        # Whoever may read it may execute it, as git has it.
        permissions |= (permissions & 0o444) >> 2
    elif permissions & stat.S_IXUSR:
        permissions &= ~0o111
    new.chmod(permissions)


def _keep_old_files(project: Project, merged: Merged, state: Path) -> None:
    (state / "before").mkdir()
    for path in merged.changed:
        if path in merged.yours:
            kept = state / "before" / path
            kept.parent.mkdir(parents=True, exist_ok=True)
            _link(project.top / project.prefix / path, kept)


def _write_index(project: Project, merged: Merged, state: Path) -> None:
    index = project.git_path("index")
    shutil.copyfile(index, state / "index.before")
    shutil.copyfile(index, state / "index.after")
    gone = "0" * len(project.head)
    rows = [f"0 {gone}\t{project.prefix}{path}\0" for path in merged.changed]
    rows += [
        f"{merged.result[path].mode} {merged.result[path].blob}\t{project.prefix}{path}\0"
        for path in merged.changed
        if path in merged.result and path not in merged.conflicts
    ]
    rows += [
        f"{each.entry.mode} {each.entry.blob} {each.stage}\t{project.prefix}{each.path}\0"
        for each in merged.unmerged
    ]
    variables = {"GIT_INDEX_FILE": str(state / "index.after")}
    run_git(project.top, "update-index", "-z", "--index-info", stdin="".join(rows), variables=variables)


def _move(project: Project, merged: Merged, state: Path, lock: Path, journal: dict[str, Any]) -> None:
    _write_journal(state, journal)
    folder = project.top / project.prefix
    for path in merged.changed:
        if path not in merged.result:
            _remove(folder, path)
    for path in merged.changed:
        if path in merged.result:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            _bring(state / "after" / path, folder / path)
    (state / "index.after").replace(lock)
    lock.rename(project.git_path("index"))
    _write_journal(state, journal | {"moving": False})
    shutil.rmtree(state / "after", ignore_errors=True)


def _write_journal(state: Path, journal: dict[str, Any]) -> None:
    written = state / f"{_JOURNAL}.new"
    with written.open("w", encoding="ascii") as file:
        json.dump(journal, file)
        file.flush()
        os.fsync(file.fileno())
    written.rename(state / _JOURNAL)


def _put_back(project: Project, state: Path, *, with_index: bool = True) -> None:
    """Bring back what the journal names; without a journal nothing had changed."""
    journal = read_journal(project)
    if not journal:
        return
    folder = project.top / project.prefix
    for path, was_there in journal["yours"].items():
        if not was_there:
            _remove(folder, path)
    for path, was_there in journal["yours"].items():
        if was_there and not _is_one_file(state / "before" / path, folder / path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            _bring(state / "before" / path, folder / path)
    if with_index:
        _bring(state / "index.before", project.git_path("index"))


def _keep_changes_since(project: Project, journal: dict[str, Any], state: Path) -> Path | None:
    """Put a copy of each file that was changed after the update out of harm's way."""
    changed = [
        path
        for path, written in journal["hashes"].items()
        if _hash(project.top / project.prefix / path) not in (None, written)
    ]
    kept = state.with_name(f"{state.name}-taken-back")
    for path in changed:
        (kept / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(project.top / project.prefix / path, kept / path, follow_symlinks=False)
    return kept if changed else None


def _index_like_head(project: Project, paths: list[str], index: Path) -> None:
    inside = [f"{project.prefix}{path}" for path in paths]
    listed = run_git(
        project.top, "--literal-pathspecs", "ls-tree", "-z", "--full-tree", "HEAD", "--", *inside
    )
    gone = "0" * len(project.head)
    rows = [f"0 {gone}\t{path}\0" for path in inside] + [f"{row}\0" for row in listed.split("\0") if row]
    variables = {"GIT_INDEX_FILE": str(index)}
    run_git(project.top, "update-index", "-z", "--index-info", stdin="".join(rows), variables=variables)


def _bring(source: Path, target: Path) -> None:
    """Put the file at `target` in one step, and leave it at `source` as well."""
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


def _remove(folder: Path, path: str) -> None:
    (folder / path).unlink(missing_ok=True)
    for parent in (folder / path).parents:
        if parent == folder:
            return
        with suppress(OSError):
            parent.rmdir()


def _hash(file: Path) -> str | None:
    """Return a hash of what the file holds, or of where the link points; None where there is no such file."""
    if file.is_symlink():
        return hashlib.sha256(os.fsencode(os.readlink(file))).hexdigest()  # noqa: PTH115
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None

"""Directories that exist while the service runs; a later start removes those of a service that was killed.

Each is held by shared locks, of the manager and of every process that goes on using it when the manager is gone.
The kernel releases a lock with the last process that has it, so one that is not held belongs to nobody.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


@contextmanager
def runtime_directory(prefix: str, parent: Path) -> Iterator[Path]:
    """Yield a new directory, readable for its owner only, and remove it afterwards."""
    # The user's own, since a name in a directory for everyone says nothing about who made it.
    prefix = f"{prefix}-{_user()}-"
    _remove_abandoned(prefix, parent)
    directory, lock = _new(prefix, parent)
    owner = os.getpid()
    try:
        yield directory
    finally:
        # A worker that was forked in the block leaves it too, at its own end.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def hold(directory: Path) -> int | None:
    """Hold the directory until this process and its children have ended; return the open descriptor.

    Children that are other programs have it only if they are given the descriptor. Raises `OSError` if the directory
    is being removed or is not there.
    """
    return _locked(directory, exclusively=False)


def _user() -> str:
    return str(os.geteuid()) if sys.platform != "win32" else os.environ.get("USERNAME", "")


def _new(prefix: str, parent: Path) -> tuple[Path, int | None]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Another service that starts may have found it before it was held.
        with suppress(OSError):
            return directory, hold(directory)


def _remove_abandoned(prefix: str, parent: Path) -> None:
    if sys.platform == "win32":
        return
    for directory in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            lock = _locked(directory, exclusively=True)
            shutil.rmtree(directory, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _locked(directory: Path, *, exclusively: bool) -> int | None:
    """Return the open descriptor of a directory of this user that is there and locked, or raise `OSError`."""
    if sys.platform == "win32":
        return None
    # Links are not followed: others may put them into a directory that everyone may write to.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        opened, found = os.fstat(descriptor), directory.lstat()
        if opened.st_uid != os.geteuid() or not os.path.samestat(opened, found):
            raise PermissionError(f"{directory} belongs to someone else.")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor

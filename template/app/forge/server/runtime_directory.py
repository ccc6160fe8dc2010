"""Temporary directories of a running service. The next start removes those of services that were killed.

The manager, and every process that may outlive it, hold a shared lock on the directory. The kernel releases a lock
when its last process exits, so a directory without a lock is abandoned.
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
    """Yield a new directory, readable only by its owner, and remove it afterwards."""
    # The name includes the user, because the parent directory is shared by all users.
    prefix = f"{prefix}-{_user()}-"
    _remove_abandoned(prefix, parent)
    directory, lock = _new(prefix, parent)
    owner = os.getpid()
    try:
        yield directory
    finally:
        # A forked worker also leaves this block when it exits.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def hold(directory: Path) -> int | None:
    """Lock the directory until this process and its children have exited. Return the open descriptor.

    Children that run other programs need the descriptor passed on. Raises `OSError` if the directory is missing or
    being removed.
    """
    return _locked(directory, exclusively=False)


def _user() -> str:
    return str(os.geteuid()) if sys.platform != "win32" else os.environ.get("USERNAME", "")


def _new(prefix: str, parent: Path) -> tuple[Path, int | None]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Another service that is starting may remove it before it is locked.
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
    """Lock an existing directory of this user and return its open descriptor, or raise `OSError`."""
    if sys.platform == "win32":
        return None
    # Links are not followed, because other users may place them in a shared directory.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        opened, found = os.fstat(descriptor), directory.lstat()
        if opened.st_uid != os.geteuid() or not os.path.samestat(opened, found):
            raise PermissionError(f"{directory} belongs to another user.")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor

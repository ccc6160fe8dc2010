"""The user that runs the servers, and the folders that it can reach."""

import os
import tempfile
from pathlib import Path

NOBODY = 65534


def server_uid() -> int:
    """Return the user of the servers: the current one, but not root, which PostgreSQL refuses."""
    return os.geteuid() or NOBODY


def give_away(path: Path) -> None:
    """Make the servers' user the owner of `path`."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def is_reachable(path: Path) -> bool:
    """Return whether the servers' user can enter every folder above `path`, after following links."""
    if os.geteuid() != 0:
        return True
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def temporary_root() -> Path:
    """Return the folder for temporary files, or /tmp if the servers' user cannot enter it."""
    root = Path(tempfile.gettempdir())
    return root if is_reachable(root / "x") else Path("/tmp")

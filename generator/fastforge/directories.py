"""Directories that are removed at their end, even if a signal arrives during the removal."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Yield a new directory, and remove it at the end."""
    with removed_at_end(Path(tempfile.mkdtemp(prefix="fastforge-"))) as directory:
        yield directory


@contextmanager
def removed_at_end(directory: Path) -> Iterator[Path]:
    """Yield the directory, which need not exist yet, and remove it at the end."""
    # Twice, because `Interrupted`, which is raised only once, may interrupt the first removal.
    try:
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)

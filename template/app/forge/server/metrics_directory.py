"""The directory in which the workers leave their figures for one another."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.forge.server.runtime_directory import hold, runtime_directory

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (a directory of our own is made in it)
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def metrics_directory() -> Iterator[Path]:
    """Point prometheus_client at a fresh directory, before the workers start; it is gone afterwards.

    Fresh, because the figures of an earlier run would be added to those of this one:
    https://prometheus.github.io/client_python/multiprocess/
    """
    in_memory = SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK)
    parent = SHARED_MEMORY if in_memory else Path(tempfile.gettempdir())
    with runtime_directory("metrics", parent) as directory:
        os.environ[VARIABLE] = str(directory)
        owner = os.getpid()
        try:
            yield directory
        finally:
            # A worker that was forked in the block leaves it too, at its own end.
            if os.getpid() == owner:
                del os.environ[VARIABLE]


def hold_metrics_directory() -> None:
    """Let no other service remove the directory before this worker has ended, even if its manager is gone."""
    hold(Path(os.environ[VARIABLE]))

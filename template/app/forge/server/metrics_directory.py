"""The directory in which workers share their metrics."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.forge.server.runtime_directory import hold, runtime_directory

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (a private directory is created in it)
VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def metrics_directory() -> Iterator[Path]:
    """Point prometheus_client at a new directory while workers run, and remove it afterwards.

    The directory must be new, because the metrics of an earlier run would be added to those of this one:
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
            # A forked worker also leaves this block when it exits.
            if os.getpid() == owner:
                del os.environ[VARIABLE]


def hold_metrics_directory() -> None:
    """Keep other services from removing the directory until this worker has exited, even if its manager is gone."""
    hold(Path(os.environ[VARIABLE]))

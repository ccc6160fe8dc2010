"""The folder in which the workers leave their figures for one another."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)


@contextmanager
def metrics_directory() -> Iterator[Path]:
    """Point prometheus_client at a fresh folder, before the workers start; it is gone afterwards.

    Fresh, because the figures of an earlier run would be added to those of this one:
    https://prometheus.github.io/client_python/multiprocess/
    """
    in_memory = SHARED_MEMORY.is_dir() and os.access(SHARED_MEMORY, os.W_OK)
    folder = Path(tempfile.mkdtemp(prefix="metrics-", dir=SHARED_MEMORY if in_memory else None))
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    owner = os.getpid()
    try:
        yield folder
    finally:
        # A worker that was forked in the block leaves it too, at its own end.
        if os.getpid() == owner:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]
            shutil.rmtree(folder, ignore_errors=True)

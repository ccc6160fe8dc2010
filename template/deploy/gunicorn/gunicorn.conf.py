"""What is Gunicorn's alone. Address, workers and timeouts come from the environment: app/forge/server/gunicorn.py.

https://docs.gunicorn.org/en/stable/settings.html
"""

import os
from typing import Any

from prometheus_client import multiprocess

# A leak in any library stays bounded: a worker is replaced after this many requests, within a minute or so at
# full load, several hours apart at little. The jitter keeps the workers from leaving together.
max_requests = 100_000
max_requests_jitter = 20_000

# Off: the parent would open what workers cannot share (loops, pools, threads), and SIGHUP would load no new
# code. What preloading saves, memory pages shared by the workers, reference counts soon copy anyway.
preload_app = False

# A worker whose event loop stands still for so long is killed and replaced.
timeout = 30

# The workers' heartbeat is a file's time; on a disk, or a container's overlay, writing it can block the worker.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108

# Its socket lies in the home directory, which a container may not have and two services would share.
control_socket_disable = True


def child_exit(_server: Any, worker: Any) -> None:
    """Forget the gauges of a worker that is no more; its counters stay."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]

"""Gunicorn's own settings. Address, workers and timeouts come from the environment: app/forge/server/gunicorn.py.

https://docs.gunicorn.org/en/stable/settings.html
"""

import os
from typing import Any

from prometheus_client import multiprocess

# Limits the effect of memory leaks: a worker is replaced after this many requests, which takes about a minute under
# full load and hours under light load. The jitter keeps workers from restarting at the same time.
max_requests = 100_000
max_requests_jitter = 20_000

# Off: the parent would open resources that workers cannot share (loops, pools, threads), and SIGHUP would not load new
# code. Preloading would save little memory, because reference counting soon copies the shared pages.
preload_app = False

# A worker whose event loop is blocked for this many seconds is killed and replaced.
timeout = 30

# The heartbeat updates the time of a file. On a disk or a container's overlay, that can block the worker.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108

# The socket would be in the home directory, which a container may lack and two services would share.
control_socket_disable = True


def child_exit(_server: Any, worker: Any) -> None:
    """Drop the gauges of a worker that has exited; its counters stay."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]

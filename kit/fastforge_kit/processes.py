"""The processes of the service: their CPU time, and how to end them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """Return the process and its descendants; on systems other than Linux, the process alone."""
    parents = _parents()
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds(root: int) -> float | None:
    """Return the CPU time that the tree of this process has used, or None if the system does not show it."""
    if not sys.platform.startswith("linux"):
        return None
    return sum(_cpu_seconds(pid) for pid in tree(root))


def busy_cpus(seconds: float) -> float | None:
    """Return the number of CPUs that are busy, or stolen by the host, over this time; None if the system hides it."""
    before, began_at = _busy_seconds(), time.monotonic()
    time.sleep(seconds)
    after, took = _busy_seconds(), time.monotonic() - began_at
    return None if before is None or after is None else (after - before) / took


def _busy_seconds() -> float | None:
    if not sys.platform.startswith("linux"):
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal: man 5 proc_stat.
    ticks = [int(value) for value in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Stop the process, which stops its children; kill those that are left after this time."""
    if process.poll() is not None:
        return
    pids = tree(process.pid)
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def end_tree(root: int, seconds: float) -> None:
    """End this process, not a child of ours, as `end` does."""
    pids = tree(root)
    deadline = time.monotonic() + seconds
    with suppress(ProcessLookupError):
        os.kill(root, signal.SIGTERM)
    while _is_running(root) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # In a container, init may not reap it.
    return _stat(pid)[:1] != ["Z"]


def _cpu_seconds(pid: int) -> float:
    threads = [_fields(path) for path in (PROC / str(pid) / "task").glob("*/schedstat")]
    nanoseconds = sum(int(fields[0]) for fields in threads if fields)
    if nanoseconds:
        return nanoseconds / 1e9
    # A kernel without scheduler statistics counts in hundredths of a second.
    return sum(map(int, _stat(pid)[11:13])) / os.sysconf("SC_CLK_TCK")


def _parents() -> dict[int, int]:
    pids = [int(entry.name) for entry in PROC.glob("[0-9]*")] if PROC.is_dir() else []
    return {pid: int(fields[1]) for pid in pids if (fields := _stat(pid))}


def _stat(pid: int) -> list[str]:
    # From the state on: the name before it, in parentheses, may contain any character. See man 5 proc.
    return _fields(PROC / str(pid) / "stat", after=") ")


def _fields(path: Path, after: str = "") -> list[str]:
    try:
        text = path.read_text()
    except OSError:
        return []
    return (text.rpartition(after)[2] if after else text).split()

"""The processes of a service, as an operator sees them in /proc."""

from __future__ import annotations

import os
import re
import resource
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """Return the child processes of `pid` that have not ended."""
    entries = (entry for entry in PROC.glob("[0-9]*") if _parent(entry) == pid)
    return sorted(int(entry.name) for entry in entries)


def descendants(pid: int) -> list[int]:
    """Return all processes below `pid`."""
    return [found for child in children(pid) for found in (child, *descendants(child))]


def command(pid: int) -> str:
    """Return the command line of a process, or an empty one if it has ended."""
    try:
        return (
            (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        )
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Return whether a process has not ended."""
    return _parent(PROC / str(pid)) != 0


def held_directories(pid: int) -> set[Path]:
    """Return the directories that a process of a service holds while it runs."""
    held = set()
    for entry in (PROC / str(pid) / "fd").iterdir():
        # A descriptor may have been closed since.
        with suppress(OSError):
            held.add(entry.readlink())
    return {path for path in held if re.match(rf"(metrics|nginx)-{os.geteuid()}-\w+$", path.name)}


def forget_peak(pid: int) -> None:
    """Reset `peak_bytes`: man 5 proc, clear_refs."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    """Return the peak memory of a process since `forget_peak`."""
    status = (PROC / str(pid) / "status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None, status
    return int(found[1]) * 1024


def allow_open_files(count: int) -> None:
    """Raise the limit of open files for this process and those that it starts, if the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count)), hard))


def unread_bytes(port: int) -> int:
    """Return the number of bytes sent to the port over IPv4 that no process has read: man 5 proc."""
    sockets = [line.split() for line in (PROC / "net/tcp").read_text().splitlines()[1:]]
    queues = [socket[4] for socket in sockets if int(socket[1].rpartition(":")[2], 16) == port]
    return sum(int(queue.rpartition(":")[2], 16) for queue in queues)


def _parent(entry: Path) -> int:
    try:
        # The name, in parentheses, may contain any character.
        state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
    except (OSError, ValueError):
        return 0
    return 0 if state == "Z" else int(parent)

"""The CPU time of a command and of the processes that it starts."""

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def seconds_of(
    command: Sequence[str], environment: Mapping[str, str], cwd: Path | None = None
) -> tuple[float, float]:
    """Return the seconds of CPU time and those on the clock. Raises `SystemExit` if the command fails."""
    started_at = time.monotonic()
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    reason = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"`{' '.join(command)}` failed: {reason.decode().strip()}")
    return usage.ru_utime + usage.ru_stime, time.monotonic() - started_at

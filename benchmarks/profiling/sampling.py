"""Samples of a running server's stacks by py-spy, taken so that they show its CPU time.

py-spy stops a process to read its stack. From another core, the interrupt takes a moment to arrive, and a
process that enters the kernel in that moment stops there: system calls of a tenth of a microsecond looked
like a tenth of a request. So the sampler shares the server's core and runs at once when it wakes: then the
timer that wakes it also stops the server at its current position.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastforge_kit.service import Service

from benchmarks.load.closed_loop import Requests, sample
from benchmarks.profiling.stacks import Stack, stacks_of, without_waiting

PY_SPY = Path(sys.executable).with_name("py-spy")
SAMPLES_PER_SECOND = 100
# A server that never waits is never sampled while it wakes up, which is not its own time.
CONNECTIONS = 64
PATIENCE_SECONDS = 30
ENOUGH_SAMPLES = 250
ROUNDS_AT_MOST = 3
NOT_ALLOWED = "py-spy failed: {} Allow it to read other processes, as root may."


@dataclass
class Samples:
    """Stacks that were on a CPU, and the user and kernel time in the kernel's statistics."""

    stacks: Sequence[Stack] = ()
    # User and system time in hundredths of a second.
    ticks: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def count(self) -> int:
        """The number of samples."""
        return round(sum(stack.samples for stack in self.stacks))

    @property
    def kernel_share(self) -> float:
        """The share of the time in the kernel, by its statistics."""
        return self.ticks[1] / max(1, sum(self.ticks))


def sampled(server: Service, requests: Requests, seconds: float, core: int | None) -> Samples:
    """Return samples of a server under as many of these requests as it can serve, longer if it waits."""
    sample(server, requests, seconds / 10, CONNECTIONS)
    samples, before = Samples(), _ticks(server.pid)
    for _ in range(ROUNDS_AT_MOST):
        with sampling(server.pid, core) as more:
            sample(server, requests, seconds, CONNECTIONS)
        samples.stacks = [*samples.stacks, *more.stacks]
        samples.ticks = [now - then for now, then in zip(_ticks(server.pid), before, strict=True)]
        samples.stacks = without_waiting(samples.stacks, samples.kernel_share)
        if samples.count >= ENOUGH_SAMPLES:
            break
    return samples


@contextmanager
def sampling(pid: int, core: int | None) -> Iterator[Samples]:
    """Sample the process inside the block; the stacks are available after it."""
    if not hasattr(os, "SCHED_FIFO"):
        raise SystemExit("Samples that show CPU time can be taken on Linux only.")
    samples = Samples()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "stacks.txt")
        options = ["--native", "--full-filenames", "--format", "raw", "--rate", str(SAMPLES_PER_SECOND)]
        command = [str(PY_SPY), "record", "--pid", str(pid), *options, "--output", str(file)]
        sampler = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if core is not None:
            os.sched_setaffinity(sampler.pid, {core})
        _let_run_at_once(sampler.pid, pid)
        try:
            yield samples
        finally:
            sampler.send_signal(signal.SIGINT)
            _, errors = sampler.communicate(timeout=PATIENCE_SECONDS)
        if sampler.returncode or not file.exists():
            raise SystemExit(NOT_ALLOWED.format(errors.decode().strip()))
        samples.stacks = list(stacks_of(file.read_text(encoding="utf-8")))


def _let_run_at_once(sampler: int, server: int) -> None:
    try:
        os.sched_setscheduler(sampler, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        # Any user may lower a priority; on a busy machine such a server hardly runs.
        for thread in Path(f"/proc/{server}/task").iterdir():
            os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))


def _ticks(pid: int) -> list[int]:
    # After the name, which may hold blanks: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(ticks) for ticks in after_name[11:13]]

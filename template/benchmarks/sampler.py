"""`python -m benchmarks.sampler PORT SECONDS FILE`: starts the service, tells its pid, and becomes py-spy.

Becomes, because Linux lets a process look into its descendants, but into no other without being root:
https://docs.kernel.org/admin-guide/LSM/Yama.html. Whoever starts this ends the service.
"""

import os
import sys
from pathlib import Path

from benchmarks import PROJECT
from benchmarks.command import finish
from benchmarks.service import Start, running_services

PY_SPY = Path(sys.executable).with_name("py-spy")
SAMPLES_PER_SECOND = 200


def main() -> None:
    """Start the service, wait for a line, and sample. Raises `SystemExit` as `finish` says."""
    finish(lambda: _sample(*sys.argv[1:]))


def _sample(port: str, seconds: str, file: str) -> int:
    # One worker, because the flame graph is to show one process.
    with running_services(Start(PROJECT, int(port), {"WORKERS": "1"})) as (service,):
        print(service.pid, flush=True)
        if sys.stdin.readline():
            os.execv(PY_SPY, _py_spy(service.pid, seconds, file))  # noqa: S606
    return 1


def _py_spy(pid: int, seconds: str, file: str) -> list[str]:
    # Were the service stopped for each sample, its threads that wait would look busy.
    what = ["--pid", str(pid), "--subprocesses", "--function", "--nonblocking"]
    how = ["--duration", seconds, "--rate", str(SAMPLES_PER_SECOND), "--format", "flamegraph"]
    return [str(PY_SPY), "record", *what, *how, "--output", file]


if __name__ == "__main__":
    main()

"""`python -m fastforge_kit.sampler PY_SPY PORT SECONDS FILE`: start the service, print its pid, and become py-spy.

It becomes py-spy because Linux lets a process inspect its descendants, but no others unless it is root:
https://docs.kernel.org/admin-guide/LSM/Yama.html. The caller ends the service.
"""

import os
import sys

from fastforge_kit.ending import finish
from fastforge_kit.project import PROJECT
from fastforge_kit.service import Start, running_services

SAMPLES_PER_SECOND = 200


def main() -> None:
    """Start the service, wait for a line, and sample. Raises `SystemExit` as `finish` does."""
    finish(lambda: _sample(*sys.argv[1:]))


def _sample(py_spy: str, port: str, seconds: str, file: str) -> int:
    # One worker, because the flame graph shows one process.
    with running_services(Start(PROJECT, int(port), {"WORKERS": "1"})) as (service,):
        print(service.pid, flush=True)
        if sys.stdin.readline():
            os.execv(py_spy, [py_spy, *_arguments(service.pid, seconds, file)])  # noqa: S606
    return 1


def _arguments(pid: int, seconds: str, file: str) -> list[str]:
    # If each sample stopped the service, its waiting threads would look busy.
    what = ["--pid", str(pid), "--subprocesses", "--function", "--nonblocking"]
    how = ["--duration", seconds, "--rate", str(SAMPLES_PER_SECOND), "--format", "flamegraph"]
    return ["record", *what, *how, "--output", file]


if __name__ == "__main__":
    main()

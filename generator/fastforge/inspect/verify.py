"""Run a project's own tests, and measure it before and after an update."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastforge.errors import Interrupted, WorkFailed
from fastforge.inspect.kit import run_kit

_LAST_LINES = 20
_SECONDS_TO_END = 10
# A `make` around this command must not influence the project's own make.
_NOT_PASSED_ON = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV"}
# Measuring optimizations takes minutes, and the endpoints show the effect of an update.
_ENDPOINTS_ONLY = ("--optimizations", "none")
_SIGNALLED = 128


class TestsFailed(WorkFailed):
    """The project's own tests fail."""


@dataclass(frozen=True)
class Verification:
    """Passed tests, and the output of `fastforge bench` before and after, if the project is installed."""

    bench_before: str | None
    bench_after: str | None

    def document(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {"tests": "passed", "bench_before": self.bench_before, "bench_after": self.bench_after}


def run_tests(directory: Path) -> None:
    """Run `make test` in the project.

    Raises:
        TestsFailed: They fail.
        WorkFailed: They cannot be run.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    try:
        process = subprocess.Popen(
            ["make", "test"],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A process group, which can be ended with everything in it.
            start_new_session=True,
        )
    except OSError as error:
        raise WorkFailed(f"make cannot be run ({error.strerror}).", "Install make.") from error
    with process:
        try:
            printed, _ = process.communicate()
        except BaseException:
            _end(process)
            raise
    if process.returncode:
        if sys.stderr:
            print(*printed.splitlines()[-_LAST_LINES:], sep="\n", file=sys.stderr)
        failure = "The project's tests fail with the update, which was undone."
        raise TestsFailed(failure, f"Run make test in {str(directory)!r}.")


def measure(directory: Path) -> str | None:
    """Return the output of `fastforge bench` for the endpoints, or None if the project has no environment.

    Raises:
        WorkFailed: It fails.
        Interrupted: A signal ended it.
    """
    if not (directory / ".venv").exists():
        return None
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        code = run_kit(directory, "fastforge_kit", _ENDPOINTS_ONLY, printed)
        printed.seek(0)
        figures = printed.read()
    if code > _SIGNALLED:
        raise Interrupted(code - _SIGNALLED)
    if code:
        raise WorkFailed("The project cannot be measured.", f"See: fastforge bench {str(directory)!r}")
    return figures


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt the processes, as Ctrl-C does, and kill them after a while."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)

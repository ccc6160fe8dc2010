"""Runs a project's own tests, and measures it before and after an update."""

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
# A `make` around this command must not tell the project's own make what to do.
_NOT_PASSED_ON = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VIRTUAL_ENV"}
# Optimizations take minutes, and an update is judged by its endpoints.
_ENDPOINTS_ONLY = ("--optimizations", "none")
_SIGNALLED = 128


class TestsFailed(WorkFailed):
    """The project's own tests fail."""


@dataclass(frozen=True)
class Verification:
    """The tests passed; what `fastforge bench` printed before and after, if the project is installed."""

    bench_before: str | None
    bench_after: str | None

    def document(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {"tests": "passed", "bench_before": self.bench_before, "bench_after": self.bench_after}


def run_tests(folder: Path) -> None:
    """Run `make test` in the project.

    Raises:
        TestsFailed: They fail.
        WorkFailed: They cannot be run.
    """
    failure = "The project's tests fail with the update, which was taken back."
    _make(folder, ["test"], TestsFailed(failure, f"See what make test says in {str(folder)!r}."))


def measure(folder: Path) -> str | None:
    """Return what `fastforge bench` prints of the endpoints, or None if the project has no environment.

    Raises:
        WorkFailed: It fails.
        Interrupted: A signal ended it.
    """
    if not (folder / ".venv").exists():
        return None
    with tempfile.TemporaryFile("w+", encoding="utf-8") as printed:
        code = run_kit(folder, "fastforge_kit", _ENDPOINTS_ONLY, printed)
        printed.seek(0)
        figures = printed.read()
    if code > _SIGNALLED:
        raise Interrupted(code - _SIGNALLED)
    if code:
        raise WorkFailed("The project cannot be measured.", f"See: fastforge bench {str(folder)!r}")
    return figures


def _make(folder: Path, arguments: list[str], failure: WorkFailed) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    try:
        process = subprocess.Popen(
            ["make", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # So that all that it starts can be ended with it.
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
        raise failure
    return printed


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt what runs, as Ctrl-C does; after a while, end it."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_END)

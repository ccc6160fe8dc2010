"""Runs the measurement that a project carries, with the project's own Python."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fastforge.errors import Interrupted, WorkFailed
from fastforge.project import find_answered_folder

_MEASUREMENT = "benchmarks/__main__.py"
# Of FastForge's own Python, which the project's must not see.
_NOT_PASSED_ON = {"PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"}


def bench_project(path: str, arguments: Sequence[str]) -> int:
    """Run `python -m benchmarks` in the project, and return its exit code; it prints and draws by itself.

    Raises:
        UserError: The folder is no project.
        WorkFailed: The project has no environment, or no measurement.
        Interrupted: A signal came before the measurement could answer it.
    """
    folder = find_answered_folder(path)
    if not (folder / _MEASUREMENT).is_file():
        raise WorkFailed(
            f"{str(folder)!r} has no {_MEASUREMENT}.", "Restore it, or get it with: fastforge update"
        )
    python = folder / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        raise WorkFailed(f"{str(folder)!r} has no .venv.", "Make it: run make install in the project.")
    return _run([str(python), "-m", "benchmarks", *arguments], folder)


def _run(command: Sequence[str], folder: Path) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL) as process:
        try:
            return process.wait()
        except Interrupted as interrupt:
            # It ends what it has started, tells what it has measured so far, and takes no second signal.
            process.send_signal(interrupt.exit_code - 128)
            if process.wait() < 0:
                raise
            return interrupt.exit_code

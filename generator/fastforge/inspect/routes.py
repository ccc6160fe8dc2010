"""The routes of a project, as its own Python sees them: on the direct way, or why not."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastforge.errors import WorkFailed
from fastforge.inspect.kit import project_environment, project_python
from fastforge.project.locate import find_answered_folder

_PROGRAM = "app/forge/http/fast_path/__main__.py"
_COMMAND = ("-m", "app.forge.http.fast_path")
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class DeclaredRoute:
    """One method of a route; `reason` is there if it does not go the direct way."""

    method: str
    path: str
    direct: bool
    reason: str | None


def routes_of(path: str) -> tuple[Path, Sequence[DeclaredRoute]]:
    """Return the project's folder and its routes in the order in which FastAPI looks at them.

    Raises:
        UserError: The folder is not a project.
        WorkFailed: The project has no environment, its template is too old, or its service cannot be made.
    """
    folder = find_answered_folder(path)
    if not (folder / _PROGRAM).is_file():
        raise WorkFailed(
            f"{str(folder)!r} has no {_PROGRAM}.", "Restore it, or get it with: fastforge update"
        )
    python = project_python(folder)
    document = _run(python, folder)
    try:
        return folder, [DeclaredRoute(**each) for each in json.loads(document)]
    except (ValueError, TypeError) as error:
        raise WorkFailed(
            f"{_PROGRAM} of {str(folder)!r} printed something other than routes.", f"Restore it: {_PROGRAM}"
        ) from error


def _run(python: Path, folder: Path) -> str:
    by_hand = f"See for yourself, in the project: {os.path.relpath(python, folder)} {' '.join(_COMMAND)}"
    try:
        ran = subprocess.run(
            [str(python), *_COMMAND],
            cwd=folder,
            env=project_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WorkFailed(f"The service was not made within {_TIMEOUT_SECONDS} s.", by_hand) from None
    except OSError as error:
        raise WorkFailed(
            f"{str(python)!r} cannot be run: {error.strerror}.",
            "Make it again: run make install in the project.",
        ) from error
    if ran.returncode:
        raise WorkFailed(f"The service of {str(folder)!r} cannot be made: {_reason(ran.stderr)}", by_hand)
    # What the project itself prints comes before.
    return (ran.stdout.splitlines() or [""])[-1]


def _reason(errors: str) -> str:
    """Return the last line of a traceback, which a service that has configured its log writes as JSON."""
    last = (errors.strip().splitlines() or ["no reason given"])[-1]
    try:
        return str(json.loads(last)["exception"]).splitlines()[-1]
    except (ValueError, TypeError, LookupError):
        return last

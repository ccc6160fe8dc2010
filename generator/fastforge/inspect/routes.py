"""The routes of a project, as its own Python sees them: on the fast path, or why not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fastforge.errors import WorkFailed
from fastforge.inspect.kit import project_python
from fastforge.inspect.program import by_hand, run_program
from fastforge.project.locate import find_directory

_PROGRAM = "app/forge/http/fast_path/__main__.py"
_MODULE = "app.forge.http.fast_path"
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class DeclaredRoute:
    """One method of a route; `reason` is set if it is not on the fast path."""

    method: str
    path: str
    direct: bool
    reason: str | None


def routes_of(path: str) -> tuple[Path, Sequence[DeclaredRoute]]:
    """Return the project's directory and its routes in the order in which FastAPI matches them.

    Raises:
        UserError: It is not a project.
        WorkFailed: The project has no environment, its template is too old, or its service cannot start.
    """
    directory = find_directory(path)
    if not (directory / _PROGRAM).is_file():
        raise WorkFailed(
            f"{str(directory)!r} has no {_PROGRAM}.", "Restore it, or add it with: fastforge update"
        )
    python = project_python(directory)
    document = _run(python, directory)
    try:
        return directory, [DeclaredRoute(**each) for each in json.loads(document)]
    except (ValueError, TypeError) as error:
        raise WorkFailed(
            f"{_PROGRAM} of {str(directory)!r} did not print routes.",
            f"Restore it: {_PROGRAM}",
        ) from error


def _run(python: Path, directory: Path) -> str:
    too_slow = f"The service did not start within {_TIMEOUT_SECONDS} s."
    ran = run_program(python, _MODULE, [], directory, _TIMEOUT_SECONDS, too_slow)
    if ran.returncode:
        raise WorkFailed(
            f"The service of {str(directory)!r} cannot start: {_reason(ran.stderr)}",
            by_hand(python, _MODULE, directory),
        )
    # The project itself may print lines before it.
    return (ran.stdout.splitlines() or [""])[-1]


def _reason(errors: str) -> str:
    """Return the last line of a traceback, which may be in a log record in JSON."""
    last = (errors.strip().splitlines() or ["no reason given"])[-1]
    try:
        return str(json.loads(last)["exception"]).splitlines()[-1]
    except (ValueError, TypeError, LookupError):
        return last

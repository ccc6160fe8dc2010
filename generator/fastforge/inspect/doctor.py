"""The findings of a project's own doctor, which its Python runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastforge.errors import EXIT_ATTENTION, WorkFailed
from fastforge.inspect.kit import project_python
from fastforge.inspect.program import by_hand, run_program

_PROGRAM = "app/forge/doctor/__main__.py"
_MODULE = "app.forge.doctor"
_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Finding:
    """A problem and its fix; `level` is error or warning."""

    check: str
    level: str
    problem: str
    fix: str


@dataclass(frozen=True)
class NotChecked:
    """A check that was not possible, and the reason."""

    check: str
    reason: str


@dataclass
class Diagnosis:
    """The findings about a project, and what could not be checked."""

    directory: Path
    findings: list[Finding] = field(default_factory=list)
    not_checked: list[NotChecked] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        return {
            "path": str(self.directory),
            "healthy": not self.findings,
            "findings": [vars(each) for each in self.findings],
            "not_checked": [vars(each) for each in self.not_checked],
        }


def diagnose_service(directory: Path, arguments: Sequence[str]) -> Diagnosis:
    """Return the findings of the project's own doctor with these arguments."""
    diagnosis = Diagnosis(directory)
    if not (directory / _PROGRAM).is_file():
        reason = "this version of the template has no doctor; take it with: fastforge update"
        diagnosis.not_checked.append(NotChecked("service", reason))
        return diagnosis
    try:
        python = project_python(directory)
        _read_into(diagnosis, _run(directory, python, arguments))
    except WorkFailed as error:
        check = "doctor.failed" if (directory / ".venv").exists() else "environment.missing"
        diagnosis.findings.append(Finding(check, "error", error.message, error.hint))
    return diagnosis


def _read_into(diagnosis: Diagnosis, output: str) -> None:
    try:
        document = json.loads(output)
        diagnosis.findings += [Finding(**each) for each in document["findings"]]
        diagnosis.not_checked += [NotChecked(**each) for each in document["not_checked"]]
    except (ValueError, TypeError, LookupError) as error:
        raise WorkFailed(
            f"{_PROGRAM} did not print findings.", f"Restore it: git restore {_PROGRAM}"
        ) from error


def _run(directory: Path, python: Path, arguments: Sequence[str]) -> str:
    too_slow = f"The project's doctor did not end within {_TIMEOUT_SECONDS} s."
    ran = run_program(python, _MODULE, ["--json", *arguments], directory, _TIMEOUT_SECONDS, too_slow)
    if ran.returncode not in (0, EXIT_ATTENTION):
        last = (ran.stderr.strip().splitlines() or ["no reason given"])[-1].strip()
        raise WorkFailed(
            f"The project's doctor ended with an error: {last}", by_hand(python, _MODULE, directory)
        )
    return ran.stdout

"""`fastforge doctor`: find what is wrong with a project, its settings, its servers and this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fastforge.cli.output import tell
from fastforge.cli.parameters import Json, ProjectPath
from fastforge.errors import EXIT_ATTENTION, write_json

if TYPE_CHECKING:
    from fastforge.inspect.doctor import Diagnosis

_Production = Annotated[
    bool,
    typer.Option(
        "--production", help="Apply the rules of production also if HOST is only reachable from this machine."
    ),
]
_Offline = Annotated[bool, typer.Option("--offline", help="Do not look for vulnerable dependencies.")]
_Advisories = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Another server with the API of osv.dev, for vulnerable dependencies."),
]


def doctor(
    path: ProjectPath = ".",
    production: _Production = False,
    offline: _Offline = False,
    advisories: _Advisories = None,
    json: Json = False,
) -> int:
    """Find what is wrong with a project, and how to fix it.

    Checks its Python and packages, settings, database, cache, migrations, limits, template and machinery.
    Nothing is changed. Names and versions of packages are sent to osv.dev, unless --offline is given.
    Exit code 0 means that nothing was found, 3 that something was.
    """
    from fastforge.update.doctor import diagnose

    switches = [flag for flag, is_on in (("--production", production), ("--offline", offline)) if is_on]
    diagnosis = diagnose(path, [*switches, *([f"--advisories={advisories}"] if advisories else [])])
    if json:
        write_json(diagnosis.document())
    else:
        for line in _lines(diagnosis):
            print(line)
    count = len(diagnosis.findings)
    tell(
        f"{diagnosis.directory}: {count} {'finding' if count == 1 else 'findings'}."
        if count
        else "No findings."
    )
    return EXIT_ATTENTION if count else 0


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    for finding in diagnosis.findings:
        yield f"{finding.level:<7}  {finding.check}"
        yield f"    {finding.problem}"
        yield f"    Fix: {finding.fix}"
    for missed in diagnosis.not_checked:
        yield f"not checked: {missed.check}: {missed.reason}"

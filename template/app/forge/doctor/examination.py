"""All checks, from those of the machine to those that need working settings and servers."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

from app.forge.doctor.findings import Check, Context, Finding, NotChecked, Outcomes, described
from app.forge.doctor.machine import check_machine
from app.forge.doctor.packages import check_packages


def examine(project: Path, is_production: bool, advisories: str | None) -> Outcomes:
    """Yield the outcomes of all checks of the project, whose directory is the current one."""
    yield from check_machine(project)
    is_installed = True
    for outcome in check_packages(project, advisories):
        is_installed &= outcome.check != "packages.missing"
        yield outcome
    if not is_installed:
        yield NotChecked("settings", "packages are missing")
        yield NotChecked("services", "packages are missing")
        return
    # Programs read standard output, and the project's own modules may print.
    with redirect_stdout(sys.stderr):
        yield from _check_service(project, is_production)


def _check_service(project: Path, is_production: bool) -> Outcomes:
    # Imported lazily: they need the packages.
    try:
        from app.forge.doctor.configuration import check_configuration
        from app.settings import Settings
    except Exception as error:
        yield _cannot_import("app.settings", error)
        return
    from app.forge.environment import examine_settings

    examination = examine_settings(Settings)
    yield from check_configuration(project, Settings, examination.faults)
    if examination.settings is None:
        yield NotChecked("services", "required settings are missing or invalid")
        return
    from app.forge.doctor.production import is_reachable

    in_production = is_production or is_reachable(examination.settings.host)
    context = Context(examination.settings, examination.replaced, in_production)
    try:
        from app.forge.doctor.checks import CHECKS
    except Exception as error:
        yield _cannot_import("app.resources", error)
        return
    for check in CHECKS:
        yield from _outcomes(check, context)


def _outcomes(check: Check, context: Context) -> Outcomes:
    name = check.__name__.removeprefix("check_")
    try:
        yield from check(context)
    except Exception as error:
        # Its text is unknown, so it may contain a secret.
        yield NotChecked(name, f"the check failed with {type(error).__name__}")


def _cannot_import(module: str, error: Exception) -> Finding:
    return Finding(
        "service.import",
        "error",
        f"{module} cannot be imported: {described(error)}.",
        f"See the whole error: python -c 'import {module}'",
    )

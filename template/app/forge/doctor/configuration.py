"""Checks of the settings: missing, invalid, contradictory, unknown and repeated ones, and the file that has them."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from app.forge.doctor.findings import Finding, Outcomes
from app.forge.environment import ENV_FILE, Environment, Fault, unknown_settings

ASSIGNED = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", re.MULTILINE)


def check_configuration(project: Path, settings: type[Environment], faults: Iterable[Fault]) -> Outcomes:
    """Yield the findings about the settings, by name and without values."""
    yield from _check_file(project)
    for fault in faults:
        place = f"in {ENV_FILE} or in the environment"
        fix = {
            "missing": f"Set it {place}.",
            "invalid": f"Correct it {place}.",
            "contradiction": f"Correct one of them {place}.",
        }[fault.kind]
        yield Finding(
            f"settings.{fault.kind}", "error", f"{str(fault).removesuffix('.')}.", f"{fix} See .env.example."
        )
    try:
        unknown = list(unknown_settings(settings))
    except UnicodeDecodeError:
        return  # Reported as a fault.
    for sentence in unknown:
        yield Finding("settings.unknown", "warning", sentence, "Correct the name, or remove the line.")


def _check_file(project: Path) -> Outcomes:
    file = project / ENV_FILE
    if not file.is_file():
        # Without ENV_FILE, all settings may come from the environment.
        if "ENV_FILE" in os.environ and os.devnull != ENV_FILE:
            yield Finding(
                "settings.file",
                "error",
                f"ENV_FILE={ENV_FILE} does not exist, so no setting is read from it.",
                "Create it, or correct ENV_FILE.",
            )
        return
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        return  # Reported as a fault.
    except OSError as error:
        yield Finding(
            "settings.file",
            "error",
            f"{ENV_FILE} cannot be read: {error.strerror}.",
            "Let the user of the service read it.",
        )
        return
    for name, count in Counter(name.upper() for name in ASSIGNED.findall(text)).items():
        if count > 1:
            yield Finding(
                "settings.repeated",
                "warning",
                f"{name} is set {count} times in {ENV_FILE}, and only the last one counts.",
                "Remove the others.",
            )

"""The command line of the doctor, and its output."""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.forge.doctor.advisories import ADVISORIES
from app.forge.doctor.examination import examine
from app.forge.doctor.findings import Finding, NotChecked

EXIT_FINDINGS = 3


def main() -> None:
    """Print the findings, as text or as one JSON document, and exit with 3 if there are any."""
    given = _arguments()
    outcomes = list(examine(Path.cwd(), given.production, None if given.offline else given.advisories))
    document = as_document(outcomes)
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n" if given.json else _as_text(document))
    sys.exit(EXIT_FINDINGS if document["findings"] else 0)


def as_document(outcomes: Iterable[Finding | NotChecked]) -> dict[str, Any]:
    """Return the JSON document: errors first, then warnings, then what could not be checked."""
    outcomes = list(outcomes)
    findings = sorted((each for each in outcomes if isinstance(each, Finding)), key=lambda each: each.level)
    return {
        "healthy": not findings,
        "findings": [each._asdict() for each in findings],
        "not_checked": [each._asdict() for each in outcomes if isinstance(each, NotChecked)],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m app.forge.doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--production",
        action="store_true",
        help="apply the rules of production also if HOST is an address that only this machine reaches",
    )
    parser.add_argument("--offline", action="store_true", help="do not look for vulnerable dependencies")
    parser.add_argument(
        "--advisories", metavar="URL", default=ADVISORIES, help="another server with the API of osv.dev"
    )
    return parser.parse_args()


def _as_text(document: dict[str, Any]) -> str:
    lines = []
    for each in document["findings"]:
        lines += [f"{each['level']:<7}  {each['check']}", f"    {each['problem']}", f"    Fix: {each['fix']}"]
    lines += [f"not checked: {each['check']}: {each['reason']}" for each in document["not_checked"]]
    count = len(document["findings"])
    lines.append(f"{count} {'finding' if count == 1 else 'findings'}." if count else "No findings.")
    return "\n".join(lines) + "\n"

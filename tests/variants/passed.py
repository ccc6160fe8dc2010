"""Records of variants that passed, so that an interrupted run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path

from tests.repository import REPOSITORY, VAR
from tests.variants.running import Run
from tests.variants.table import Outcome

ANSWERS_FILE = ".copier-answers.yml"
# Together with the project itself, everything that determines a run's outcome.
HARNESS = ("tests/acceptance", "tests/machinery", "tests/variants", "testkit")


def outcome_before(run: Run) -> Outcome | None:
    """Return the results of the same project when it passed the same tests, or None if it has not."""
    record = _record(run)
    if not record.exists():
        return None
    known = json.loads(record.read_text(encoding="utf-8"))
    return Outcome(**known["outcome"]) if known["fingerprint"] == fingerprint(run) else None


def remember(run: Run, outcome: Outcome, fingerprint_before: str) -> None:
    """Keep the results of a run that passed. Tests leave files behind, so the fingerprint is from before."""
    record = _record(run)
    record.parent.mkdir(parents=True, exist_ok=True)
    document = {"fingerprint": fingerprint_before, "outcome": outcome.as_data()}
    record.write_text(json.dumps(document), encoding="utf-8")


def fingerprint(run: Run) -> str:
    """Return a hash of the project as it was rendered, the tests' sources and the interpreter."""
    # The answers are in the run's name; their file contains the temporary folder of the template.
    files = (path for path in run.project.rglob("*") if path.is_file())
    project = _hash_of(path for path in files if path.name != ANSWERS_FILE)
    return sha256(f"{project} {_harness()} {run.interpreter}".encode()).hexdigest()


@cache
def _harness() -> str:
    return _hash_of(path for name in HARNESS for path in (REPOSITORY / name).rglob("*.py"))


def _hash_of(files: Iterable[Path]) -> str:
    hashed = sha256()
    for path in sorted(files):
        hashed.update(f"{path}\0".encode() + path.read_bytes() + b"\0")
    return hashed.hexdigest()


def _record(run: Run) -> Path:
    return VAR / "passed" / f"{run.name}.json"

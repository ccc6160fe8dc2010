"""Which runs of variants passed before, so that a run that was interrupted can be taken up again."""

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
# With the project itself, all that a run's outcome comes from.
HARNESS = ("tests/acceptance", "tests/machinery", "tests/variants", "testkit")


def outcome_before(run: Run) -> Outcome | None:
    """Return what the same project showed when it passed the same tests, None where it has not."""
    record = _record(run)
    if not record.exists():
        return None
    known = json.loads(record.read_text(encoding="utf-8"))
    return Outcome(**known["outcome"]) if known["fingerprint"] == fingerprint(run) else None


def remember(run: Run, outcome: Outcome, fingerprint_before: str) -> None:
    """Keep what a run showed that has passed. Tests leave files behind, so the fingerprint is from before."""
    record = _record(run)
    record.parent.mkdir(parents=True, exist_ok=True)
    document = {"fingerprint": fingerprint_before, "outcome": outcome.as_data()}
    record.write_text(json.dumps(document), encoding="utf-8")


def fingerprint(run: Run) -> str:
    """Return a hash of the project as it was rendered, the tests' sources and the interpreter."""
    # The answers are in the run's name; their file says from which temporary folder they were rendered.
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

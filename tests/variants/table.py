"""The summary of a run's variants: a table, a closing line, and both as files."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.variants.interpreters import missing_versions
from tests.variants.machinery import test_files


@dataclass
class Outcome:
    """The progress and the results of one variant."""

    run: str
    variant: str
    python: str
    on_stand_in: bool = False
    installed: bool = False
    modules: int = 0
    import_seconds: float = 0.0
    tests: int = 0
    machinery_files: list[str] = field(default_factory=list)
    machinery_tests: int = 0
    boot_seconds: float = 0.0
    contract_tests: int = 0
    contract_skipped: int = 0
    # Of the contract with other resources than the sample.
    resource_tests: int = 0
    answers: int = 0
    seconds: float = 0.0
    step_seconds: dict[str, float] = field(default_factory=dict)
    resumed: bool = False
    failed: str = ""
    repeated_for: str = ""

    def as_data(self) -> dict[str, object]:
        """Return the data for `Outcome(**data)`."""
        return asdict(self)


HEADINGS = (
    "variant",
    "import",
    "own tests",
    "machinery",
    "boot",
    "contract",
    "resources",
    "answers",
    "took",
    "",
)


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """Return one line per run, by name, under a line of headings."""
    rows = _rows(outcomes)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def markdown(outcomes: Sequence[Outcome], closing: str) -> str:
    """Return the table and the closing line as a Markdown document."""
    headings, *rows = _rows(outcomes)
    lines = [headings, ("---",) * len(headings), *rows]
    text = "\n".join("| " + " | ".join(row) + " |" for row in lines)
    return f"# Every variant that ran\n\n{text}\n\n{closing}\n"


def write_results(folder: Path, outcomes: Sequence[Outcome], closing: str) -> None:
    """Write `variants.md` and `variants.json` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": platform.platform(),
        "closing_line": closing,
        "variants": [outcome.as_data() for outcome in sorted(outcomes, key=lambda outcome: outcome.run)],
    }
    (folder / "variants.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (folder / "variants.md").write_text(markdown(outcomes, closing), encoding="utf-8")


def closing_line(rendered: int, outcomes: Sequence[Outcome], skipped: int) -> str:
    """Return one line with the numbers of variants per step, the Pythons, and what was left out."""
    tests = sum(
        each.tests + each.machinery_tests + each.contract_tests + each.resource_tests for each in outcomes
    )
    versions = sorted({outcome.python for outcome in outcomes})
    resumed = sum(outcome.resumed for outcome in outcomes)
    repeated = sum(bool(outcome.repeated_for) for outcome in outcomes)
    facts = [
        f"{rendered} variants rendered and checked",
        f"{sum(outcome.installed for outcome in outcomes)} installed",
        f"{sum(outcome.boot_seconds > 0 for outcome in outcomes)} booted",
        f"{tests} tests run in and against them",
        *([f"{resumed} resumed from an earlier run"] if resumed else []),
        *([f"{repeated} repeated because they failed at first"] if repeated else []),
        f"{skipped + sum(outcome.contract_skipped for outcome in outcomes)} skipped",
    ]
    remarks = [
        f" on Python {' and '.join(versions)}" if versions else "",
        f"; not found: Python {' and '.join(missing_versions())}" if outcomes and missing_versions() else "",
        "; MongoDB was a stand-in" if any(outcome.on_stand_in for outcome in outcomes) else "",
    ]
    return "Variants: " + ", ".join(facts) + "".join(remarks)


def steps_line(outcomes: Iterable[Outcome]) -> str:
    """Return the time that each step took in all runs together, slowest first."""
    seconds: Counter[str] = Counter()
    for outcome in outcomes:
        seconds.update(outcome.step_seconds)
    return "Steps: " + ", ".join(f"{step} {took:.0f} s" for step, took in seconds.most_common())


def machinery_line(outcomes: Iterable[Outcome]) -> str:
    """Return the files of the machinery's tests that ran, and those that need other variants."""
    files = {file.path for file in test_files()}
    ran = {path for outcome in outcomes if outcome.machinery_tests for path in outcome.machinery_files}
    names = ", ".join(Path(path).name for path in sorted(files - ran))
    return f"The machinery: {len(ran)} of {len(files)} files of tests ran{'; not ' + names if names else ''}"


def _rows(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    return [HEADINGS, *(_row(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.run))]


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.run,
        f"{outcome.modules} modules, {outcome.import_seconds:.2f} s" if outcome.modules else "-",
        f"{outcome.tests} passed" if outcome.tests else "-",
        f"{outcome.machinery_tests} passed" if outcome.machinery_tests else "-",
        f"{outcome.boot_seconds:.2f} s" if outcome.boot_seconds else "-",
        f"{outcome.contract_tests} passed" if outcome.contract_tests else "-",
        f"{outcome.resource_tests} passed" if outcome.resource_tests else "-",
        str(outcome.answers or "-"),
        f"{outcome.seconds:.0f} s",
        _remark(outcome),
    )


def _remark(outcome: Outcome) -> str:
    if outcome.failed:
        return f"FAILED: {outcome.failed}"
    if outcome.repeated_for:
        return f"repeated: {outcome.repeated_for}"
    return "earlier" if outcome.resumed else ""


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
    return [first.strip().ljust(widths[0]), *others[:-1], row[-1]]

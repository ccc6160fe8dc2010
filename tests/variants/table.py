"""What a run says about its variants when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass
class Outcome:
    """How far one variant came, and what it showed."""

    variant: str
    on_stand_in: bool = False
    installed: bool = False
    tests: int = 0
    boot_seconds: float = 0.0
    contract_tests: int = 0
    contract_skipped: int = 0
    answers: int = 0
    seconds: float = 0.0
    failed: str = ""

    def as_data(self) -> dict[str, object]:
        """Return what `Outcome(**data)` takes back."""
        return asdict(self)


HEADINGS = ("variant", "own tests", "boot", "contract", "answers", "took", "")


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """Return one line per variant, by name, under a line of headings."""
    rows = [HEADINGS, *(_row(outcome) for outcome in sorted(outcomes, key=lambda outcome: outcome.variant))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def closing_line(rendered: int, outcomes: Sequence[Outcome], skipped: int) -> str:
    """Return one line: how many variants came how far, whether MongoDB was a stand-in, what was left out."""
    tests = sum(outcome.tests + outcome.contract_tests for outcome in outcomes)
    facts = [
        f"{rendered} variants rendered and checked",
        f"{sum(outcome.installed for outcome in outcomes)} installed",
        f"{sum(outcome.boot_seconds > 0 for outcome in outcomes)} booted",
        f"{tests} tests run in and against them",
        f"{skipped + sum(outcome.contract_skipped for outcome in outcomes)} skipped",
    ]
    stand_in = "; MongoDB was a stand-in" if any(outcome.on_stand_in for outcome in outcomes) else ""
    return "Variants: " + ", ".join(facts) + stand_in


def _row(outcome: Outcome) -> tuple[str, ...]:
    return (
        outcome.variant,
        f"{outcome.tests} passed" if outcome.tests else "-",
        f"{outcome.boot_seconds:.2f} s" if outcome.boot_seconds else "-",
        f"{outcome.contract_tests} passed" if outcome.contract_tests else "-",
        str(outcome.answers or "-"),
        f"{outcome.seconds:.0f} s",
        f"FAILED: {outcome.failed}" if outcome.failed else "",
    )


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
    return [first.strip().ljust(widths[0]), *others[:-1], row[-1]]

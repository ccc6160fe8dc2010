"""Coverage of a run, phase by phase, with the command for the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.phases import COVERING, EVERY
from tests.variants.interpreters import SUPPORTED
from tests.variants.plugin import runs_named
from tests.variants.space import every_variant

Row = tuple[str, str, str, str, str]


def rows_of(config: pytest.Config, tally: Any, left_out: int) -> list[Row]:
    """Return the rows of a phase: what ran, its time, what did not run, and the command for it."""
    name, took = tally.phase.name, f"{tally.seconds:.0f} s"
    failed = f", {tally.failed} failed" if tally.failed else ""
    ran = f"{counted(tally.done)}{failed}"
    if name == "variants, end to end" and tally.tests:
        return [(name, ran, took, *_variants_left(config))]
    if not tally.tests and not left_out:
        return []
    return [(name, ran, took, counted(left_out) if left_out else "", COVERING if left_out else "")]


def _variants_left(config: pytest.Config) -> tuple[str, str]:
    """Return the number of variants and the Pythons that did not run, and the command for them."""
    wish = config.getoption("--variants")
    runs = runs_named(wish, config.getoption("--interpreters"))
    others = len(every_variant()) - len({variant for variant, _ in runs})
    pythons = [version for version in SUPPORTED if version not in {python.version for _, python in runs}]
    facts = [f"{others} of {len(every_variant())} variants"] if others else []
    facts += [f"Python {', '.join(pythons)}"] if pythons else []
    if not facts:
        return "", ""
    return " and ".join(facts), EVERY if wish == "covering" and others else COVERING


def counted(tests: int) -> str:
    """Return the number of tests as text."""
    return f"{tests} test" if tests == 1 else f"{tests} tests"

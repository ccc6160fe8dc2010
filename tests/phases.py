"""The phases of a run: units of progress, and the selection of tests for a quick run."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.variants.space import Variant, quick_variants

COVERING = "make test VARIANTS=covering"
EVERY = "make test VARIANTS=all"
PARTS_OF_VARIANTS = ("tests/faults/", "tests/updates/", "tests/clients/")


@dataclass(frozen=True)
class Phase:
    """Tests that belong together; `seconds` is the expected time of one until the first ones have run."""

    name: str
    begins_with: tuple[str, ...]
    expected_seconds: float


# The expected time of a test that takes much longer than others of its phase; it starts early.
LONG = {
    "tests/variants/test_random_resources.py::test_random_resources_keep": 150,
    "tests/variants/test_random_resources.py::test_fields_with_few_values": 60,
    "tests/variants/test_ablations.py": 60,
    "tests/updates/test_random_changes.py": 90,
    "tests/both_ways/": 90,
    "tests/test_isolation.py": 30,
    "tests/updates/test_session.py": 30,
}

# A test belongs to the first phase that fits.
PHASES = (
    Phase("variants, end to end", ("tests/variants/test_running",), 100),
    Phase("variants, checked", ("tests/variants/test_static", "tests/variants/test_optimizations"), 0.05),
    Phase("faults", ("tests/faults/",), 2),
    Phase("updates", ("tests/updates/",), 1.5),
    Phase("clients", ("tests/clients/",), 3),
    Phase("lint and types", ("tests/test_lint",), 10),
    Phase("FastForge itself", ("",), 0.6),
)


def phase_of(nodeid: str) -> Phase:
    """Return the phase of a test."""
    return next(phase for phase in PHASES if nodeid.startswith(phase.begins_with))


def expected_seconds(nodeid: str) -> float:
    """Return the time that a test is expected to take, which decides when it starts."""
    known = (seconds for begin, seconds in LONG.items() if nodeid.startswith(begin))
    return next(known, phase_of(nodeid).expected_seconds)


def is_quick(item: pytest.Item) -> bool:
    """Return whether a quick run has the test.

    Faults, updates and clients run if they are marked as quick. All others run; thorough ones only for the
    variants of a quick run.
    """
    parameters = _parameters(item)
    if item.nodeid.startswith(PARTS_OF_VARIANTS):
        return any(_names(mark, parameters) for mark in item.iter_markers("quick"))
    is_thorough = item.get_closest_marker("thorough") is not None
    return not is_thorough or any(value in quick_variants() for value in parameters.values())


def _names(mark: pytest.Mark, parameters: dict[str, object]) -> bool:
    """Return whether the parameters, or the variant's answers, are those that the marker names."""
    variants = [value for value in parameters.values() if isinstance(value, Variant)]
    answers = {name: value for variant in variants for name, value in variant.answers}
    return all((parameters | answers).get(name) == value for name, value in mark.kwargs.items())


def _parameters(item: pytest.Item) -> dict[str, object]:
    specification = getattr(item, "callspec", None)
    return dict(specification.params) if specification else {}

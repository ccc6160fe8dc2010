"""The summary of updates at the end of a run: pairs, variants, edits, lines, losses, faults."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.variants.shares import shares
from tests.variants.space import Variant, covering_variants, default_variant, variants_named

UPDATES = "variants to update: covering (default), or all if VARIANTS is, which takes twelve minutes more"
Releases = tuple[str, str]
COLUMNS = ("projects", "edits", "lines", "conflicts", "losses", "tested")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the choice of variants to update, which UPDATES in the environment sets, too."""
    choice = os.environ.get("UPDATES") or "covering"
    parser.addoption("--updates", choices=["covering", "all"], default=choice, help=UPDATES)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and collect the counts of the tests."""
    words = "between(*pairs): update from one release to another; the pairs share the covering set"
    config.addinivalue_line("markers", words)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary())


def tested_variants(wish: str) -> tuple[Variant, ...]:
    """Return the variants whose own tests run after an update, which takes half a minute each.

    The default one as a rule, the covering set for `all`, or those that are named.
    """
    if wish in {"covering", "quick"}:
        return (default_variant(),)
    return covering_variants() if wish == "all" else variants_named(wish)


def updated_variants(wish: str, updates: str) -> tuple[Variant, ...]:
    """Return the variants that run every update: those named, or for `all` those of `updates`."""
    return variants_named(updates if wish == "all" else wish)


def updates_between(pairs: Sequence[Releases], wish: str, updates: str) -> Iterator[tuple[str, str, Variant]]:
    """Yield the updates between these pairs of releases: old, new, and the variant.

    Each variant of the covering set has one of them, and each pair every answer; other variants have all.
    """
    variants = updated_variants(wish, updates)
    is_shared = variants == covering_variants()
    parts = shares(variants, len(pairs)) if is_shared else [list(variants)] * len(pairs)
    for (old, new), part in zip(pairs, parts, strict=True):
        yield from ((old, new, variant) for variant in part)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses `updated_variant` or `tested_variant` with each of these."""
    wish, updates = metafunc.config.getoption("--variants"), metafunc.config.getoption("--updates")
    between = metafunc.definition.get_closest_marker("between")
    if between is not None:
        chosen = list(updates_between(between.args, wish, updates))
        ids = [f"{old}-{new}-{variant.name}" for old, new, variant in chosen]
        metafunc.parametrize(("old", "new", "updated_variant"), chosen, ids=ids)
    elif "updated_variant" in metafunc.fixturenames:
        metafunc.parametrize(
            "updated_variant", updated_variants(wish, updates), ids=lambda variant: variant.name
        )
    if "tested_variant" in metafunc.fixturenames:
        metafunc.parametrize("tested_variant", tested_variants(wish), ids=lambda variant: variant.name)


class Summary:
    """The tables of updates; with pytest-xdist, one process collects and writes them."""

    def __init__(self) -> None:
        self.updates: dict[str, Counter[str]] = {}
        self.variants: set[str] = set()
        self.faults: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the counts of a test when it has ended."""
        properties: list[tuple[str, Any]] = report.user_properties if report.when == "teardown" else []
        for name, value in properties:
            if name == "updates":
                self.variants.add(value["variant"])
                self.updates.setdefault(value["what"], Counter()).update(value["counts"])
            elif name == "update faults":
                self.faults.update(value)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the tables, and the number of edited projects that did not run their own tests."""
        if self.updates or self.faults:
            terminalreporter.section("updates")
        if self.updates:
            for line in table(self.updates):
                terminalreporter.write_line(line)
            terminalreporter.write_line(closing_line(self.updates, len(self.variants)))
        for fault, count in sorted(self.faults.items()):
            terminalreporter.write_line(f"{count:5}  {fault}")
        if self.faults:
            terminalreporter.write_line(f"Update faults: {self.faults.total()} injected, 0 changed a project")


def table(updates: dict[str, Counter[str]]) -> list[str]:
    """Return one line per step under a line of headings."""
    rows: list[tuple[str, ...]] = [("update", *COLUMNS)]
    rows += [(what, *(str(counts[column]) for column in COLUMNS)) for what, counts in sorted(updates.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_aligned(row, widths)) for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
    return [first.strip().ljust(widths[0]), *others]


def closing_line(updates: dict[str, Counter[str]], variants: int) -> str:
    """Return one line with the numbers of updates, comparisons, and projects whose own tests did not run."""
    total = sum(updates.values(), Counter[str]())
    facts = [
        f"{len(updates)} steps x {variants} variants",
        f"{total['projects']} projects updated",
        f"{total['edits']} edits",
        f"{total['lines']} lines checked",
        f"{total['losses']} lost",
        f"own tests run in {total['tested']}, not in the other {total['projects'] - total['tested']}",
    ]
    return "Updates: " + ", ".join(facts)

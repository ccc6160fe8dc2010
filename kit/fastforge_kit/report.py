"""The results as tables for a terminal."""

from collections.abc import Sequence
from operator import attrgetter

from fastforge_kit.comparison import Comparison
from fastforge_kit.measurement import WorkloadMeasurement
from fastforge_kit.results import Results
from fastforge_kit.targets import targets, verdict


def as_text(results: Results) -> str:
    """Return the figures, the targets and the optimizations, each as a table, and notes for their readers."""
    tables = []
    if results.measured:
        tables += [figures(results.measured), target_verdicts(results.measured)]
    if results.comparisons:
        tables += [optimization_verdicts(list(results.comparisons.values()))]
    lines = [f"{results.machine}; {results.load.connections} connections"]
    for table in tables:
        lines += ["", *_aligned(table)]
    return "\n".join([*lines, "", *results.obstacles(), *results.remarks()])


def figures(measurements: Sequence[WorkloadMeasurement]) -> list[list[str]]:
    """Return the medians of each workload, below a row of headings."""
    return [
        ["endpoint", "requests/s", "p50 ms", "p99 ms", "errors %", "CPU µs"],
        *[
            [
                each.workload.name,
                _number(each.median(attrgetter("per_second")), 0),
                _number(each.median(attrgetter("p50_ms")), 2),
                _number(each.median(attrgetter("p99_ms")), 2),
                _number(each.median(attrgetter("error_percent")), 2),
                _number(each.median(attrgetter("cpu_us")), 0),
            ]
            for each in measurements
        ],
    ]


def target_verdicts(measurements: Sequence[WorkloadMeasurement]) -> list[list[str]]:
    """Return the verdict on each target for each workload, below a row of headings."""
    return [
        ["target", *(target.name for target in targets())],
        *[[each.workload.name, *(verdict(target, each) for target in targets())] for each in measurements],
    ]


def optimization_verdicts(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Return the verdict on each optimization, below a row of headings."""
    return [
        ["optimization", "CPU without it", "noise", "verdict"],
        *[
            [
                each.optimization.id,
                "" if each.ratio is None else f"{100 * each.ratio - 100:+.0f}%",
                "" if each.noise_percent is None else f"± {each.noise_percent:.1f}%",
                each.verdict,
            ]
            for each in comparisons
        ],
    ]


def _number(value: float | None, decimals: int) -> str:
    return "not shown" if value is None else f"{value:,.{decimals}f}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [
                name.ljust(widths[0]),
                *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)),
            ]
        )
        for name, *cells in rows
    ]

"""What was measured, as tables for a terminal."""

from collections.abc import Sequence
from operator import attrgetter

from fastforge_kit.comparison import Comparison
from fastforge_kit.measurement import Measurement
from fastforge_kit.results import Results
from fastforge_kit.targets import targets, verdict


def as_text(results: Results) -> str:
    """Return the figures, the targets and the tunings, each as a table, and what to know when reading them."""
    lines = [f"{results.machine}; {results.load.connections} connections"]
    if results.measurements:
        lines += [
            "",
            *_table(figures(results.measurements)),
            "",
            *_table(target_verdicts(results.measurements)),
        ]
    if results.comparisons:
        lines += ["", *_table(tuning_verdicts(results.comparisons))]
    obstacles = [f"{each.tuning.id}: {each.obstacle}" for each in results.comparisons if each.obstacle]
    return "\n".join([*lines, "", *obstacles, *results.remarks()])


def figures(measurements: Sequence[Measurement]) -> list[list[str]]:
    """Return the medians of each workload, below a line of headings."""
    return [
        ["", "requests/s", "p50 ms", "p99 ms", "errors %", "CPU µs"],
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


def target_verdicts(measurements: Sequence[Measurement]) -> list[list[str]]:
    """Return whether each workload meets each target, below a line of headings."""
    return [
        ["", *(target.name for target in targets())],
        *[[each.workload.name, *(verdict(target, each) for target in targets())] for each in measurements],
    ]


def tuning_verdicts(comparisons: Sequence[Comparison]) -> list[list[str]]:
    """Return whether each tuning pays, below a line of headings."""
    return [
        ["", "CPU without it", "noise", "verdict"],
        *[
            [
                each.tuning.id,
                "" if each.ratio is None else f"{100 * each.ratio - 100:+.0f}%",
                "" if each.noise_percent is None else f"± {each.noise_percent:.1f}%",
                each.verdict,
            ]
            for each in comparisons
        ],
    ]


def _number(value: float | None, decimals: int) -> str:
    return "not shown" if value is None else f"{value:,.{decimals}f}"


def _table(rows: list[list[str]]) -> list[str]:
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

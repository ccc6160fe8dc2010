"""What was measured, for people and for programs, and whether it meets the targets."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from benchmarks.measurement import Measurement, Sample


class Target(NamedTuple):
    """What is expected of every workload."""

    name: str
    is_met: Callable[[Measurement, Sample], bool]


TARGETS = (
    Target("p50 < 50 ms", lambda _, sample: sample.p50_ms < 50),
    Target("p99 < 200 ms", lambda _, sample: sample.p99_ms < 200),
    Target("> 1,000/s", lambda done, sample: sample.per_second * done.workload.items_per_request > 1_000),
    Target("errors < 0.1 %", lambda _, sample: sample.error_percent < 0.1),
)


def verdict(target: Target, measurement: Measurement) -> str:
    """Return "pass" or "fail", or "undecided" where the rounds do not agree."""
    verdicts = {target.is_met(measurement, sample) for sample in measurement.samples}
    return "undecided" if len(verdicts) > 1 else "pass" if True in verdicts else "fail"


def as_data(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Return the medians of all rounds, the verdicts, and every round."""
    return [
        {
            "workload": measurement.workload.name,
            **{name: measurement.median(attrgetter(name)) for name in Sample._fields},
            "targets": {target.name: verdict(target, measurement) for target in TARGETS},
            "rounds": [sample._asdict() for sample in measurement.samples],
        }
        for measurement in measurements
    ]


def as_text(measurements: Sequence[Measurement]) -> str:
    """Return the medians and the verdicts as two tables, and what to know when reading them."""
    figures = [
        ["", "requests/s", "p50 ms", "p99 ms", "errors %", "CPU µs"],
        *[_figures(measurement) for measurement in measurements],
    ]
    verdicts = [
        ["", *(target.name for target in TARGETS)],
        *[
            [measurement.workload.name, *(verdict(target, measurement) for target in TARGETS)]
            for measurement in measurements
        ],
    ]
    return "\n".join([*_table(figures), "", *_table(verdicts), *_remarks(measurements)])


def _figures(measurement: Measurement) -> list[str]:
    cpu_us = measurement.median(lambda sample: sample.cpu_us)
    return [
        measurement.workload.name,
        f"{measurement.median(lambda sample: sample.per_second):,.0f}",
        f"{measurement.median(lambda sample: sample.p50_ms):.2f}",
        f"{measurement.median(lambda sample: sample.p99_ms):.2f}",
        f"{measurement.median(lambda sample: sample.error_percent):.2f}",
        "not shown" if cpu_us is None else f"{cpu_us:,.0f}",
    ]


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


def _remarks(measurements: Sequence[Measurement]) -> list[str]:
    remarks = [
        "",
        "Medians of all rounds; undecided where the rounds do not agree. A batch is judged by its items.",
    ]
    if any(measurement.median(lambda sample: sample.cpu_us) is None for measurement in measurements):
        remarks.append("CPU time is read from /proc, which only Linux has.")
    limited = [
        measurement.workload.name for measurement in measurements if measurement.is_limited_by_generator
    ]
    if limited:
        remarks.append(f"The load generator was the limit, so the service can do more: {', '.join(limited)}.")
    return remarks

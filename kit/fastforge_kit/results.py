"""Everything that a run has shown so far, as the report and the page tell it."""

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from fastforge_kit.comparison import WORTH_RATIO, Comparison
from fastforge_kit.measurement import Load, Measurement, Sample
from fastforge_kit.project import service_name
from fastforge_kit.targets import targets, verdict


@dataclass
class Results:
    """What was measured, and what kept the rest from being measured."""

    load: Load
    measurements: list[Measurement] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    error: BaseException | None = None
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured."""
        return not self.measurements and not self.comparisons

    @property
    def machine(self) -> str:
        """On what it was measured."""
        return f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"

    def add(self, shown: Measurement | Comparison) -> None:
        """Keep what has gained a round."""
        if isinstance(shown, Measurement):
            self.measurements += [shown] if shown not in self.measurements else []
        else:
            self.comparisons += [shown] if shown not in self.comparisons else []

    def remarks(self) -> list[str]:
        """Return what to know when reading the figures."""
        limited = [each.workload.name for each in self.measurements if each.is_limited_by_generator]
        shows_cpu = all(each.median(attrgetter("cpu_us")) is not None for each in self.measurements)
        return [
            "Figures are medians of all rounds; a verdict on which the rounds do not agree is undecided.",
            "A batch and an export are judged by their items.",
            *([] if shows_cpu else ["CPU time is read from /proc, which only Linux has."]),
            *self._disturbance(),
            *([f"The load generator may have been the limit: {', '.join(limited)}."] if limited else []),
        ]

    def _disturbance(self) -> list[str]:
        disturbed = [each for each in self.measurements if each.is_disturbed]
        if not disturbed:
            return []
        others = max(each.median(attrgetter("others_cpus")) or 0 for each in disturbed)
        names = ", ".join(each.workload.name for each in disturbed)
        taken = f"Other programs took up to {others:.1f} of its {os.cpu_count()} CPUs"
        return [
            f"Inconclusive: the machine was busy. {taken}, so no target counts as missed for: {names}. Measure again."
        ]

    def document(self, page: str | None) -> dict[str, Any]:
        """Return all of it for programs; `page` is where people read it."""
        return {
            "service": service_name(),
            "measured_at": self.measured_at.isoformat(timespec="seconds"),
            "machine": self.machine,
            "load": self.load._asdict(),
            "partial": self.error is not None,
            "endpoints": [_endpoint(each) for each in self.measurements],
            "tunings": [_tuning(each) for each in self.comparisons],
            "remarks": self.remarks(),
            "page": page,
        }


def _endpoint(measurement: Measurement) -> dict[str, Any]:
    return {
        "name": measurement.workload.name,
        "endpoint": measurement.workload.endpoint,
        **{name: measurement.median(attrgetter(name)) for name in Sample._fields},
        "limited_by_generator": measurement.is_limited_by_generator,
        "disturbed": measurement.is_disturbed,
        "targets": {target.name: verdict(target, measurement) for target in targets()},
        "rounds": [sample._asdict() for sample in measurement.samples],
    }


def _tuning(comparison: Comparison) -> dict[str, Any]:
    return {
        "id": comparison.tuning.id,
        "title": comparison.tuning.title,
        "workload": comparison.tuning.workload,
        "verdict": comparison.verdict,
        "cpu_without_it": comparison.ratio,
        "worth": WORTH_RATIO,
        "noise_percent": comparison.noise_percent,
        "obstacle": comparison.obstacle or None,
        "rounds": comparison.ratios,
    }

"""The results of a run so far, for the report and the page."""

import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from fastforge_kit.comparison import WORTHWHILE, Comparison
from fastforge_kit.measurement import Load, Sample, WorkloadMeasurement
from fastforge_kit.project import service_name
from fastforge_kit.targets import targets, verdict


@dataclass
class Results:
    """Measurements by their workload, comparisons by their optimization, and the error that ended the run."""

    load: Load
    measurements: dict[str, WorkloadMeasurement] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    error: BaseException | None = None
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_empty(self) -> bool:
        """True if nothing was measured."""
        return not self.measurements and not self.comparisons

    @property
    def measured(self) -> list[WorkloadMeasurement]:
        """The workloads that have figures."""
        return [each for each in self.measurements.values() if each.samples]

    def obstacles(self) -> list[str]:
        """Return the reason for each workload and optimization that has no figures."""
        found = {name: each.obstacle for name, each in (self.measurements | self.comparisons).items()}
        return [f"{name}: {obstacle}" for name, obstacle in found.items() if obstacle]

    @property
    def machine(self) -> str:
        """The machine that it was measured on."""
        return f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"

    def remarks(self) -> list[str]:
        """Return notes for readers of the figures."""
        limited = [each.workload.name for each in self.measured if each.is_limited_by_generator]
        shows_cpu = all(each.median(attrgetter("cpu_us")) is not None for each in self.measured)
        return [
            "Figures are medians of all rounds; if the rounds disagree on a target, the verdict is inconclusive.",
            "A batch and an export are judged by their rows.",
            *([] if shows_cpu else ["CPU time is read from /proc, which only Linux has."]),
            *self._disturbance(),
            *([f"The load generator may have been the limit: {', '.join(limited)}."] if limited else []),
        ]

    def _disturbance(self) -> list[str]:
        disturbed = [each for each in self.measured if each.is_disturbed]
        if not disturbed:
            return []
        others = max(each.median(attrgetter("others_cpus")) or 0 for each in disturbed)
        names = ", ".join(each.workload.name for each in disturbed)
        taken = f"Other programs took up to {others:.1f} of its {os.cpu_count()} CPUs"
        return [
            f"Inconclusive: the machine was busy. {taken}, so no target counts as missed for: {names}. Measure again."
        ]

    def document(self, page: str | None) -> dict[str, Any]:
        """Return all results for programs; `page` is the HTML page."""
        return {
            "service": service_name(),
            "measured_at": self.measured_at.isoformat(timespec="seconds"),
            "machine": self.machine,
            "load": self.load._asdict(),
            "partial": self.error is not None,
            "endpoints": [_endpoint(each) for each in self.measured],
            "optimizations": [_optimization(each) for each in self.comparisons.values()],
            "obstacles": self.obstacles(),
            "remarks": self.remarks(),
            "page": page,
        }


def _endpoint(measurement: WorkloadMeasurement) -> dict[str, Any]:
    return {
        "name": measurement.workload.name,
        "endpoint": measurement.workload.endpoint,
        **{name: measurement.median(attrgetter(name)) for name in Sample._fields},
        "limited_by_generator": measurement.is_limited_by_generator,
        "disturbed": measurement.is_disturbed,
        "targets": {target.name: verdict(target, measurement) for target in targets()},
        "rounds": [sample._asdict() for sample in measurement.samples],
    }


def _optimization(comparison: Comparison) -> dict[str, Any]:
    return {
        "id": comparison.optimization.id,
        "title": comparison.optimization.title,
        "workload": comparison.optimization.workload,
        "verdict": comparison.verdict,
        "cpu_without_it": comparison.ratio,
        "worthwhile": WORTHWHILE.value,
        "noise_percent": comparison.noise_percent,
        "obstacle": comparison.obstacle or None,
        "rounds": comparison.ratios,
    }

"""Measurements of workloads, in several short rounds that show the noise."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from statistics import median, quantiles
from time import monotonic
from typing import NamedTuple

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.generator import Job
from fastforge_kit.generators import generate
from fastforge_kit.openapi import Resource
from fastforge_kit.processes import busy_cpus
from fastforge_kit.service import HOST, Service
from fastforge_kit.workloads import Stock, Workload

# Where the counters of jobs start, so that no two send the same number.
FIRST_NUMBERS = count(0, 10_000_000)
# Above these, the generator rather than the service may be what is measured.
GENERATOR_BUSY_LIMIT = 0.9
GENERATOR_SHARE_LIMIT = 0.5
# Other programs are observed while the service is idle, because a database on this machine works for the service.
REST_SECONDS = 0.1
OTHERS_LIMIT_CPUS = 0.2
MACHINE_FULL = 0.9
# More than a service can delete; otherwise a round ends when no rows are left.
DELETIONS_PER_SECOND = 6_000
DELETIONS_LIMIT = 60_000


class Load(NamedTuple):
    """The load on the service and its length. At least two rounds are needed to see the noise."""

    connections: int
    generators: int
    rounds: int
    seconds: float

    @property
    def deletions(self) -> int:
        """The number of rows that are created to be deleted."""
        wanted = int(self.rounds * self.seconds * DELETIONS_PER_SECOND)
        return max(2 * self.rounds * self.connections, min(wanted, DELETIONS_LIMIT))


class Sample(NamedTuple):
    """The figures of one round."""

    per_second: float
    rows_per_second: float
    p50_ms: float
    p99_ms: float
    error_percent: float
    # Of all processes of the service, None if the system does not show it.
    cpu_us: float | None
    generator_busy: float
    # The generators' share of the CPU time of generators and service.
    generator_share: float | None
    # Of other programs alone, and together with generators and service, None if the system does not show it.
    others_cpus: float | None = None
    busy_cpus: float | None = None


@dataclass
class WorkloadMeasurement:
    """The figures of all rounds of a workload."""

    workload: Workload
    samples: list[Sample] = field(default_factory=list)
    # The reason if there are none.
    obstacle: str = ""

    def median(self, value: Callable[[Sample], float | None]) -> float | None:
        """Return the median of a value over the rounds, or None if the system does not show it."""
        values = [shown for sample in self.samples if (shown := value(sample)) is not None]
        return median(values) if values else None

    @property
    def is_limited_by_generator(self) -> bool:
        """True if the generator may have limited the throughput or the latency."""
        busy = self.median(lambda sample: sample.generator_busy) or 0
        share = self.median(lambda sample: sample.generator_share) or 0
        return busy > GENERATOR_BUSY_LIMIT or share > GENERATOR_SHARE_LIMIT

    @property
    def is_disturbed(self) -> bool:
        """True if other programs took CPU time that the service could have used."""
        others = self.median(lambda sample: sample.others_cpus) or 0
        busy = self.median(lambda sample: sample.busy_cpus) or 0
        return others > OTHERS_LIMIT_CPUS and busy > MACHINE_FULL * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Prepared:
    """A workload with its requests ready to be sent."""

    workload: Workload
    requests: Sequence[bytes]

    def jobs(self, service: Service, load: Load, round_number: int) -> list[Job]:
        """Return the jobs of a round, one for each generator."""
        connections = max(1, load.connections // load.generators)
        parts = [
            list(map(service.authorized, self._part(load, round_number * load.generators + each)))
            for each in range(load.generators)
        ]
        status, once = self.workload.status, self.workload.sent_once
        return [
            Job(HOST, service.port, part, status, connections, load.seconds, next(FIRST_NUMBERS), once)
            for part in parts
        ]

    def _part(self, load: Load, number: int) -> list[str]:
        step = load.rounds * load.generators if self.workload.sent_once else 1
        return [request.decode() for request in self.requests[number % step :: step]]


def measure(
    service: Service,
    workloads: Sequence[Workload],
    resources: Sequence[Resource],
    resource: Resource | None,
    load: Load,
) -> Iterator[WorkloadMeasurement]:
    """Yield the measurement of a workload after each of its rounds. Raises `CannotMeasure`.

    Rows of the resource are created first; a service without resources has only workloads that need none.
    """
    stock = None if resource is None else Stock(service, resources, resource, load.deletions)
    for writes in (False, True):
        measured = [
            (WorkloadMeasurement(each), prepared)
            for each in workloads
            if each.writes == writes
            for prepared in [_prepared(each, stock)]
        ]
        # One workload after the other in every round, so that a disturbance of the machine affects them all.
        for number in range(load.rounds):
            for measurement, prepared in measured:
                if isinstance(prepared, Prepared):
                    measurement.samples.append(sample(service, prepared, load, number))
                else:
                    measurement.obstacle = str(prepared)
                yield measurement


def _prepared(workload: Workload, stock: Stock | None) -> Prepared | CannotMeasure:
    """Return the workload with its requests, or the reason if it has none."""
    try:
        return Prepared(workload, workload.requests(stock))  # type: ignore[arg-type] # only those that need none
    except CannotMeasure as reason:
        return reason


def sample(service: Service, prepared: Prepared, load: Load, round_number: int) -> Sample:
    """Return the figures of one round. Raises `CannotMeasure` if the service does not respond."""
    others = busy_cpus(REST_SECONDS)
    cpu_before, started_at = service.cpu_seconds(), monotonic()
    outcomes = generate(prepared.jobs(service, load, round_number))
    cpu_after, took = service.cpu_seconds(), monotonic() - started_at
    latencies = [latency for outcome in outcomes for latency in outcome.latencies_ms]
    if len(latencies) < 2:
        raise CannotMeasure(
            f"The service did not respond to the requests of {prepared.workload.name!r}.",
            "See its log: python -m app",
        )
    errors = sum(outcome.errors for outcome in outcomes)
    percentiles = quantiles(latencies, n=100)
    cpu = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    generated = sum(outcome.busy * outcome.seconds for outcome in outcomes)
    per_second = sum(len(outcome.latencies_ms) / outcome.seconds for outcome in outcomes)
    return Sample(
        per_second=per_second,
        rows_per_second=per_second * prepared.workload.rows_per_request,
        p50_ms=percentiles[49],
        p99_ms=percentiles[98],
        error_percent=100 * errors / max(errors, len(latencies)),
        cpu_us=None if cpu is None else 1_000_000 * cpu / len(latencies),
        generator_busy=max(outcome.busy for outcome in outcomes),
        generator_share=None if cpu is None else generated / (generated + cpu),
        others_cpus=others,
        busy_cpus=None if cpu is None or others is None else others + (generated + cpu) / took,
    )

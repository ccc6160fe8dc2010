"""How fast the service answers a workload, in several short rounds that show the noise."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from statistics import median, quantiles
from typing import NamedTuple

from benchmarks import PROJECT
from benchmarks.errors import CannotMeasure
from benchmarks.generator import Job, Outcome
from benchmarks.service import HOST, Service
from benchmarks.workloads import Workload

# More than one generator sends in a round, so that their counters must not meet.
JOB_NUMBERS = 500_000
# Beyond, the generator rather than the service may be what is measured.
GENERATOR_BUSY_LIMIT = 0.9


class Load(NamedTuple):
    """How hard and how long the service is asked."""

    connections: int
    generators: int
    rounds: int
    seconds: float


class Sample(NamedTuple):
    """What one round showed."""

    per_second: float
    p50_ms: float
    p99_ms: float
    error_percent: float
    # Of all processes of the service, None where the system does not show it.
    cpu_us: float | None
    generator_busy: float


@dataclass
class Measurement:
    """What all rounds of a workload showed."""

    workload: Workload
    samples: list[Sample] = field(default_factory=list)

    def median(self, value: Callable[[Sample], float | None]) -> float | None:
        """Return the median of a value over the rounds, or None where the system does not show it."""
        values = [shown for sample in self.samples if (shown := value(sample)) is not None]
        return median(values) if values else None

    @property
    def is_limited_by_generator(self) -> bool:
        """Whether the service might have answered more than it was asked."""
        busy = self.median(lambda sample: sample.generator_busy)
        return busy is not None and busy > GENERATOR_BUSY_LIMIT


def measure(service: Service, workloads: Sequence[Workload], load: Load) -> Iterator[Measurement]:
    """Yield a measurement each time it has gained a round. Raises `CannotMeasure`."""
    first_numbers = count(0, JOB_NUMBERS)
    measurements = [Measurement(workload) for workload in workloads]
    # One workload after the other in every round, so that what disturbs the machine for a while hits all of them.
    for _ in range(load.rounds):
        for measurement in measurements:
            measurement.samples.append(_sample(service, measurement.workload, load, first_numbers))
            yield measurement


def _sample(service: Service, workload: Workload, load: Load, first_numbers: Iterator[int]) -> Sample:
    cpu_before = service.cpu_seconds()
    outcomes = _send(_jobs(service, workload, load, first_numbers))
    cpu_after = service.cpu_seconds()
    latencies = [latency for outcome in outcomes for latency in outcome.latencies_ms]
    if len(latencies) < 2:
        raise CannotMeasure(f"The service did not answer when asked to {workload.name}.")
    errors = sum(outcome.errors for outcome in outcomes)
    percentiles = quantiles(latencies, n=100)
    cpu = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    return Sample(
        per_second=sum(len(outcome.latencies_ms) / outcome.seconds for outcome in outcomes),
        p50_ms=percentiles[49],
        p99_ms=percentiles[98],
        error_percent=100 * errors / max(errors, len(latencies)),
        cpu_us=None if cpu is None else 1_000_000 * cpu / len(latencies),
        generator_busy=max(outcome.busy for outcome in outcomes),
    )


def _jobs(service: Service, workload: Workload, load: Load, first_numbers: Iterator[int]) -> list[Job]:
    requests = [request.decode() for request in workload.requests]
    connections = max(1, load.connections // load.generators)
    return [
        Job(HOST, service.port, requests, workload.status, connections, load.seconds, next(first_numbers))
        for _ in range(load.generators)
    ]


def _send(jobs: list[Job]) -> list[Outcome]:
    with ExitStack() as stack:
        generators = [stack.enter_context(_running_generator(job)) for job in jobs]
        return [_outcome(generator) for generator in generators]


@contextmanager
def _running_generator(job: Job) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as question:
        question.write(json.dumps(asdict(job)).encode())
        question.seek(0)
        generator = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.generator"],
            cwd=PROJECT,
            stdin=question,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    with generator:
        try:
            yield generator
        finally:
            generator.kill()


def _outcome(generator: subprocess.Popen[bytes]) -> Outcome:
    answer, reason = generator.communicate()
    if generator.returncode != 0:
        raise CannotMeasure(f"The load generator failed: {reason.decode().strip().splitlines()[-1]}")
    return Outcome(**json.loads(answer))

"""How fast the service answers a workload, in several short rounds that show the noise."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from statistics import median, quantiles
from time import monotonic
from typing import NamedTuple

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.generator import Job, Outcome
from fastforge_kit.processes import busy_cpus
from fastforge_kit.project import PROJECT
from fastforge_kit.service import HOST, Service
from fastforge_kit.workloads import Stock, Workload

# Where the counters of jobs begin, so that no two send the same number.
FIRST_NUMBERS = count(0, 10_000_000)
# Beyond, the generator rather than the service may be what is measured.
GENERATOR_BUSY_LIMIT = 0.9
GENERATOR_SHARE_LIMIT = 0.5
# What other programs take is looked at while the service is idle: a database on this machine works for it otherwise.
REST_SECONDS = 0.1
OTHERS_LIMIT_CPUS = 0.2
MACHINE_FULL = 0.9
# More than a service deletes; where it is not, a round ends when everything is gone.
DELETIONS_PER_SECOND = 6_000
DELETIONS_LIMIT = 60_000


class Load(NamedTuple):
    """How hard and how long the service is asked; at least two rounds are needed to see the noise."""

    connections: int
    generators: int
    rounds: int
    seconds: float

    @property
    def deletions(self) -> int:
        """How many items there should be to delete."""
        wanted = int(self.rounds * self.seconds * DELETIONS_PER_SECOND)
        return max(2 * self.rounds * self.connections, min(wanted, DELETIONS_LIMIT))


class Sample(NamedTuple):
    """What one round showed."""

    per_second: float
    items_per_second: float
    p50_ms: float
    p99_ms: float
    error_percent: float
    # Of all processes of the service, None where the system does not show it.
    cpu_us: float | None
    generator_busy: float
    # The generators' part of all CPU time of generators and service.
    generator_share: float | None
    # Of other programs, and of them with generators and service, None where the system does not show it.
    others_cpus: float | None = None
    busy_cpus: float | None = None


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
        """Whether the service might have answered more than it was asked, or sooner than was noticed."""
        busy = self.median(lambda sample: sample.generator_busy) or 0
        share = self.median(lambda sample: sample.generator_share) or 0
        return busy > GENERATOR_BUSY_LIMIT or share > GENERATOR_SHARE_LIMIT

    @property
    def is_disturbed(self) -> bool:
        """Whether other programs took CPU time that the service could have used."""
        others = self.median(lambda sample: sample.others_cpus) or 0
        busy = self.median(lambda sample: sample.busy_cpus) or 0
        return others > OTHERS_LIMIT_CPUS and busy > MACHINE_FULL * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Question:
    """A workload with its requests ready."""

    workload: Workload
    requests: list[str]

    def jobs(self, service: Service, load: Load, round_number: int) -> list[Job]:
        """Return the jobs of a round, one for each generator."""
        connections = max(1, load.connections // load.generators)
        parts = [self._part(load, round_number * load.generators + each) for each in range(load.generators)]
        status, once = self.workload.status, self.workload.sent_once
        return [
            Job(HOST, service.port, part, status, connections, load.seconds, next(FIRST_NUMBERS), once)
            for part in parts
        ]

    def _part(self, load: Load, number: int) -> list[str]:
        return (
            self.requests[number :: load.rounds * load.generators]
            if self.workload.sent_once
            else self.requests
        )


def measure(service: Service, workloads: Sequence[Workload], load: Load) -> Iterator[Measurement]:
    """Yield a measurement each time it has gained a round. Raises `CannotMeasure`."""
    stock = Stock(service, load.deletions)
    for writes in (False, True):
        questions = [
            Question(each, [request.decode() for request in each.requests(stock)])
            for each in workloads
            if each.writes == writes
        ]
        measurements = [Measurement(question.workload) for question in questions]
        # One workload after the other in every round, so that what disturbs the machine for a while hits them all.
        for number in range(load.rounds):
            for question, measurement in zip(questions, measurements, strict=True):
                measurement.samples.append(sample(service, question, load, number))
                yield measurement


def sample(service: Service, question: Question, load: Load, round_number: int) -> Sample:
    """Return what one round shows. Raises `CannotMeasure` where the service answers nothing."""
    others = busy_cpus(REST_SECONDS)
    cpu_before, began_at = service.cpu_seconds(), monotonic()
    outcomes = _send(question.jobs(service, load, round_number))
    cpu_after, took = service.cpu_seconds(), monotonic() - began_at
    latencies = [latency for outcome in outcomes for latency in outcome.latencies_ms]
    if len(latencies) < 2:
        raise CannotMeasure(
            f"The service did not answer when asked to {question.workload.name}.",
            "See what its log says: python -m app",
        )
    errors = sum(outcome.errors for outcome in outcomes)
    percentiles = quantiles(latencies, n=100)
    cpu = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    generated = sum(outcome.busy * outcome.seconds for outcome in outcomes)
    per_second = sum(len(outcome.latencies_ms) / outcome.seconds for outcome in outcomes)
    return Sample(
        per_second=per_second,
        items_per_second=per_second * question.workload.items_per_request,
        p50_ms=percentiles[49],
        p99_ms=percentiles[98],
        error_percent=100 * errors / max(errors, len(latencies)),
        cpu_us=None if cpu is None else 1_000_000 * cpu / len(latencies),
        generator_busy=max(outcome.busy for outcome in outcomes),
        generator_share=None if cpu is None else generated / (generated + cpu),
        others_cpus=others,
        busy_cpus=None if cpu is None or others is None else others + (generated + cpu) / took,
    )


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
            [sys.executable, "-m", "fastforge_kit.generator"],
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
        last_words = reason.decode(errors="replace").strip().splitlines() or ["it was killed."]
        raise CannotMeasure(f"The load generator failed: {last_words[-1]}", "Run the command again.")
    return Outcome(**json.loads(answer))

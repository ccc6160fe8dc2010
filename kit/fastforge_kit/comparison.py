"""Each tuning of the service on and off, in interleaved rounds, and what these allow to say about it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import comb
from statistics import median

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.measurement import Load, Question, sample
from fastforge_kit.project import PROJECT
from fastforge_kit.service import Service, Start, available_port, running_services
from fastforge_kit.targets import errors_target
from fastforge_kit.tunings import ChangedHere, Tuning, without
from fastforge_kit.workloads import Stock, workloads

# A tuning that saves less is not worth a line of code.
WORTH_RATIO = 1.02
# How sure the interval around a median has to be; fewer than five rounds never are.
CONFIDENCE = 0.93


@dataclass
class Comparison:
    """What all rounds showed: the CPU time of a request without the tuning, where that with it is 1."""

    tuning: Tuning
    ratios: list[float] = field(default_factory=list)
    # Why there are none.
    obstacle: str = ""

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the true median is, all but surely; None where there are too few rounds to say."""
        return median_interval(self.ratios)

    @property
    def verdict(self) -> str:
        """Return "pays", "does not pay", "undecided" or "not measured"."""
        if self.obstacle:
            return "not measured"
        if self.interval is None or self.interval[0] <= WORTH_RATIO <= self.interval[1]:
            return "undecided"
        return "pays" if self.interval[0] > WORTH_RATIO else "does not pay"

    @property
    def ratio(self) -> float | None:
        """The median of the rounds, or None where they are too noisy for a number."""
        return median(self.ratios) if self.verdict in {"pays", "does not pay"} else None

    @property
    def noise_percent(self) -> float | None:
        """Half the width of the interval, in percent of the CPU time with the tuning."""
        return None if self.interval is None else 50 * (self.interval[1] - self.interval[0])


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the smallest interval of these values that holds the true median as surely as `CONFIDENCE` asks.

    It assumes nothing about the noise: each value is as likely above the true median as below it. None where even
    the smallest and the largest value leave too much doubt.
    """
    ordered = sorted(values)
    for left_out in reversed(range(len(ordered) // 2)):
        outside = sum(comb(len(ordered), each) for each in range(left_out + 1)) / 2 ** (len(ordered) - 1)
        if 1 - outside >= CONFIDENCE:
            return ordered[left_out], ordered[-1 - left_out]
    return None


def compare(tuning: Tuning, database_urls: Sequence[str], load: Load) -> Iterator[Comparison]:
    """Yield the comparison each time it has gained a round, once where the tuning cannot be measured.

    The databases are that of the service with the tuning and that of the one without.
    """
    comparison = Comparison(tuning)
    try:
        yield from _compare(comparison, database_urls, load)
    except (ChangedHere, CannotMeasure) as reason:
        comparison.obstacle = str(reason)
        yield comparison


def _compare(comparison: Comparison, database_urls: Sequence[str], load: Load) -> Iterator[Comparison]:
    tuning = comparison.tuning
    with without(tuning, PROJECT) as copy:
        starts = [
            # One worker on either side: what a request costs is not a question of how many serve.
            Start(project, available_port(None), {**tuning.environment, "DATABASE_URL": url, "WORKERS": "1"})
            for project, url in zip((PROJECT, copy), database_urls, strict=True)
        ]
        with running_services(*starts) as services:
            # The first round warms up.
            load = load._replace(rounds=load.rounds + 1)
            sides = [(service, _question(tuning, service, load)) for service in services]
            for number in range(load.rounds):
                on, off = _round(sides, load, number)
                if number:
                    comparison.ratios.append(off / on)
                    yield comparison


def _question(tuning: Tuning, service: Service, load: Load) -> Question:
    workload = next((each for each in workloads() if each.name == tuning.workload), None)
    if workload is None:
        raise CannotMeasure(
            f"{tuning.workload!r} is not a workload.", "Report it: the record and the kit disagree."
        )
    requests = workload.requests(Stock(service, load.deletions if workload.sent_once else 0))
    return Question(workload, [request.decode() for request in tuning.asked(requests)])


def _round(sides: Sequence[tuple[Service, Question]], load: Load, number: int) -> list[float]:
    """Return the CPU time of a request with the tuning and without."""
    # Each goes first in every other round, because the one before may leave the machine warm or the disk busy.
    order = (0, 1) if number % 2 else (1, 0)
    measured = {side: sample(*sides[side], load, number) for side in order}
    if not all(errors_target().is_met(each) for each in measured.values()):
        raise CannotMeasure("Too many of the answers were errors.", "See what the service's log says.")
    # Where the system shows no CPU time, the time that a request took, which is noisier.
    return [measured[side].cpu_us or 1_000_000 / measured[side].per_second for side in (0, 1)]

"""Each optimization of the service on and off, in interleaved rounds, and the verdict."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.measurement import Load, Prepared, Sample, sample
from fastforge_kit.openapi import chosen_resource, resources_of
from fastforge_kit.optimizations import ChangedHere, Optimization, without
from fastforge_kit.service import Service, Start, available_port, running_services
from fastforge_kit.targets import errors_target
from fastforge_kit.verdicts import INCONCLUSIVE, AtLeast, median_interval
from fastforge_kit.workloads import Stock, workloads_of

# An optimization that saves less is not worth a line of code.
WORTHWHILE = AtLeast(1.02)
NOT_MEASURED = "not measured"


class Round(NamedTuple):
    """The samples of one round, with the optimization and without it."""

    on: Sample
    off: Sample

    @property
    def ratio(self) -> float:
        """The CPU time of a request without the optimization, relative to the time with it."""
        # If the system shows no CPU time: the duration of a request, which is noisier.
        if self.on.cpu_us and self.off.cpu_us:
            return self.off.cpu_us / self.on.cpu_us
        return self.on.per_second / self.off.per_second


@dataclass(frozen=True)
class Comparison:
    """The rounds of an optimization so far, and the verdict on its effect."""

    optimization: Optimization
    rounds: tuple[Round, ...] = ()
    # The reason if there are none.
    obstacle: str = ""

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round."""
        return [each.ratio for each in self.rounds]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The confidence interval of the median, or None if there are too few rounds."""
        return median_interval(self.ratios)

    @property
    def verdict(self) -> str:
        """Return "met" if it saves enough, "missed", "inconclusive" or "not measured"."""
        if self.obstacle:
            return NOT_MEASURED
        return INCONCLUSIVE if self.interval is None else WORTHWHILE.verdict(*self.interval)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds, or None if they are too noisy for a number."""
        return None if self.verdict in {INCONCLUSIVE, NOT_MEASURED} else median(self.ratios)

    @property
    def noise_percent(self) -> float | None:
        """Half the width of the interval, in percent of the CPU time with the optimization."""
        return None if self.interval is None else 50 * (self.interval[1] - self.interval[0])


def compare(
    optimization: Optimization,
    project: Path,
    environments: Sequence[Mapping[str, str]],
    load: Load,
    resource: tuple[str | None, str | None] = (None, None),
) -> Iterator[Comparison]:
    """Yield the comparison so far after each round, or once if the optimization cannot be measured.

    The environments are those of the service with the optimization and without it; `resource` has the name of the
    measured resource, and the name to use if that is None.
    """
    rounds: tuple[Round, ...] = ()
    try:
        for each in _rounds(optimization, project, environments, load, resource):
            rounds += (each,)
            yield Comparison(optimization, rounds)
    except (ChangedHere, CannotMeasure) as reason:
        yield Comparison(optimization, rounds, str(reason))


def _rounds(
    optimization: Optimization,
    project: Path,
    environments: Sequence[Mapping[str, str]],
    load: Load,
    resource: tuple[str | None, str | None],
) -> Iterator[Round]:
    with without(optimization, project) as copy:
        starts = [
            # One worker each: the CPU time of a request does not depend on the number of workers.
            Start(folder, available_port(None), {**environment, **optimization.environment, "WORKERS": "1"})
            for folder, environment in zip((project, copy), environments, strict=True)
        ]
        # The first round warms up.
        load = load._replace(rounds=load.rounds + 1)
        with running_services(*starts) as services:
            sides = [(each, _prepared(optimization, each, load, resource)) for each in services]
            for number in range(load.rounds):
                each = _round(sides, load, number)
                if number:
                    yield each


def _prepared(
    optimization: Optimization, service: Service, load: Load, resource: tuple[str | None, str | None]
) -> Prepared:
    resources = resources_of(service)
    chosen = chosen_resource(resources, *resource)
    workload = next((each for each in workloads_of(chosen) if each.name == optimization.workload), None)
    if workload is None or chosen is None:
        raise CannotMeasure(
            f"The service has no endpoint for its workload, {optimization.workload!r}.",
            "Measure another resource: fastforge bench --resource NAME",
        )
    stock = Stock(service, resources, chosen, load.deletions if workload.sent_once else 0)
    return Prepared(workload, optimization.requests_of(workload.requests(stock)))


def _round(sides: Sequence[tuple[Service, Prepared]], load: Load, number: int) -> Round:
    # Each runs first in every other round, because the previous one may leave the machine warm or the disk busy.
    order = (0, 1) if number % 2 else (1, 0)
    measured = {side: sample(*sides[side], load, number) for side in order}
    if not all(errors_target().bound.is_kept(each.error_percent) for each in measured.values()):
        raise CannotMeasure("Too many of the responses were errors.", "See the service's log.")
    return Round(measured[0], measured[1])

"""Profiles as documents: profiles.json and profiles.md, and a sentence on each for performance.md."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.reporting.markdown import table

NAME = "profiles"
ROWS_SHOWN = 10
FUNCTIONS_SHOWN = 8
LAYERS_NAMED = 4
# A smaller share is within the noise of a few hundred samples.
WORTH_NAMING = 0.05
PREFACE = """\
# CPU time by layer for goals that are not met

{machine}; written by `make benchmarks`.

The shares are those of py-spy's samples, {per_second} per second, of a server with 64 busy connections; the
sums were measured without a sampler. A sample counts for the innermost package in its stack; the time of
the standard library and the interpreter counts for their callers. With 300 samples, a share of 10% is
accurate to ±2%. The kernel's part is reading, writing and polling sockets; the baseline's endpoint is its
callable. A start is the CPU time until the application is built, before it opens its resources, divided
by `-X importtime`.
"""


@dataclass(frozen=True)
class Costs:
    """The CPU time of one request by layer and by function, or of one start by distribution."""

    layers: Mapping[str, float]
    functions: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0
    # By the kernel's statistics.
    kernel_share: float = 0.0

    @property
    def total(self) -> float:
        """All layers together."""
        return sum(self.layers.values())


@dataclass(frozen=True)
class Profile:
    """The costs of a goal's service, and those of its baseline."""

    title: str
    service: Costs
    baseline: Costs
    # True if the baseline should cost less, as the rows of a batch should.
    is_baseline_explained: bool = False
    unit: str = "µs"

    @property
    def layers(self) -> list[tuple[str, float, float]]:
        """Each layer's name, its cost here and in the baseline; the small ones of many are combined."""
        names = list(dict.fromkeys([*self.service.layers, *self.baseline.layers]))
        every = [
            (name, self.service.layers.get(name, 0), self.baseline.layers.get(name, 0)) for name in names
        ]
        if len(every) <= ROWS_SHOWN + 1:
            return every
        ranked = sorted(every, key=lambda layer: -max(abs(layer[1] - layer[2]), 0.1 * layer[1]))
        rest = ranked[ROWS_SHOWN - 1 :]
        others = (
            f"{len(rest)} others",
            sum(own for _, own, _ in rest),
            sum(baseline for *_, baseline in rest),
        )
        return [*ranked[: ROWS_SHOWN - 1], others]


class Profiles:
    """The profiles in a folder, each by the title of its goal."""

    def __init__(self, folder: Path | None, machine: str) -> None:
        self._folder = folder
        self._machine = machine
        self._known = {} if folder is None else {each.title: each for each in load(folder, machine)}

    @property
    def all(self) -> list[Profile]:
        """All profiles."""
        return list(self._known.values())

    def begin(self) -> None:
        """Discard the profiles of earlier runs."""
        self._known = {}

    def keep(self, profile: Profile, per_second: int) -> None:
        """Add the profile, or replace an earlier one, and write all if there is a folder for results."""
        self._known[profile.title] = profile
        if self._folder is not None:
            self._write(self._folder, per_second)

    def _write(self, folder: Path, per_second: int) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        found = self.all
        document = {
            "machine": self._machine,
            "measured_at": now,
            "profiles": [asdict(each) for each in found],
        }
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (folder / f"{NAME}.json").write_text(f"{text}\n", encoding="utf-8")
        preface = PREFACE.format(machine=f"{self._machine}, {now.partition('T')[0]}", per_second=per_second)
        parts = [preface, *map(page_of, found)]
        (folder / f"{NAME}.md").write_text("\n".join(parts), encoding="utf-8")


def load(folder: Path, machine: str = "") -> list[Profile]:
    """Return the profiles in the folder, of this machine if one is given."""
    file = folder / f"{NAME}.json"
    if not file.exists():
        return []
    document = json.loads(file.read_text(encoding="utf-8"))
    is_of_another = machine and document["machine"] != machine
    return [] if is_of_another else [_profile_from(each) for each in document["profiles"]]


def _profile_from(data: Mapping[str, Any]) -> Profile:
    return Profile(**{**data, "service": Costs(**data["service"]), "baseline": Costs(**data["baseline"])})


def page_of(profile: Profile) -> str:
    """Return the tables of one profile."""
    unit = profile.unit
    layers = [
        [name, f"{own:.1f}", f"{baseline:.1f}", f"{own - baseline:+.1f}"]
        for name, own, baseline in profile.layers
    ]
    own, baseline = profile.service.total, profile.baseline.total
    sums = ["**together**", f"{own:.1f}", f"{baseline:.1f}", f"{own - baseline:+.1f}"]
    head = ["Layer", f"Service, {unit}", f"Baseline, {unit}", "Difference"]
    parts = [f"## {profile.title}", table([*layers, sums], head)]
    if profile.service.samples:
        parts += [_functions_of(profile), _samples_of(profile)]
    return "\n\n".join(parts) + "\n"


def _functions_of(profile: Profile) -> str:
    costs = profile.baseline if profile.is_baseline_explained else profile.service
    most = list(costs.functions.items())[:FUNCTIONS_SHOWN]
    server = "Baseline" if profile.is_baseline_explained else "Service"
    return table([[f"`{name}`", f"{figure:.1f}"] for name, figure in most], ["Function", f"{server}, µs"])


def _samples_of(profile: Profile) -> str:
    service, baseline = profile.service, profile.baseline
    counts = f"{service.samples} samples of the service, {baseline.samples} of the baseline."
    if not service.kernel_share:
        return counts
    return (
        f"{counts} By the kernel's statistics, {service.kernel_share:.0%} and {baseline.kernel_share:.0%} "
        "of the time was in the kernel."
    )


def reason(profile: Profile) -> str:
    """Return the layers that make up most of the figure, in a sentence."""
    own, baseline, unit = profile.service.total, profile.baseline.total, profile.unit
    if profile.is_baseline_explained:
        return f"of {baseline:.3g} {unit} for a row of the batch, {_named(profile, baseline, _of_baseline)}"
    if abs(own - baseline) <= WORTH_NAMING * baseline:
        return f"both take about {baseline:.3g} {unit}"
    if own < baseline:
        return f"of the service's {own:.3g} {unit}, {_named(profile, own, _of_service)}"
    more = own - baseline
    return f"of {more:.3g} {unit} more than the baseline, {_named(profile, more, _difference)}"


def _named(profile: Profile, whole: float, figure_of: Callable[[float, float], float]) -> str:
    figures = {name: figure_of(own, baseline) for name, own, baseline in profile.layers}
    most = sorted(figures.items(), key=lambda each: -each[1])[:LAYERS_NAMED]
    named = [f"{figure:.3g} {name}" for name, figure in most if figure > WORTH_NAMING * whole]
    return "; ".join(named)


def _of_baseline(_own: float, baseline: float) -> float:
    return baseline


def _of_service(own: float, _limit: float) -> float:
    return own


def _difference(own: float, baseline: float) -> float:
    return own - baseline

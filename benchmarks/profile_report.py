"""Profiles as documents: profiles.json and profiles.md, and a sentence of each for performance.md."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

NAME = "profiles"
ROWS_SHOWN = 10
FUNCTIONS_SHOWN = 8
LAYERS_TOLD = 4
# Less is not told from the noise of a few hundred samples.
WORTH_TELLING = 0.05
PREFACE = """\
# Where the CPU time goes of what is not within its goal

{machine}; written by `make benchmarks`.

Shares are those of samples by py-spy, {per_second} a second, of the server at work with 64 connections; sums
are what the goals' rows have measured without a sampler. A sample counts for the innermost package of its
stack, and what the standard library and the interpreter do for who called them. Of 300 samples a tenth is one
of 8 to 12%. The kernel's are reading, writing and polling of sockets; the limit's endpoint is its callable.
A start is the CPU time until the application is built, without its resources and first answer, shared out by
`-X importtime`.
"""


@dataclass(frozen=True)
class Costs:
    """What one request costs, by layer and by function; or one start, by distribution."""

    layers: Mapping[str, float]
    functions: Mapping[str, float] = field(default_factory=dict)
    samples: int = 0
    # By the kernel's own account.
    kernel_share: float = 0.0

    @property
    def total(self) -> float:
        """All layers together."""
        return sum(self.layers.values())


@dataclass(frozen=True)
class Profile:
    """The costs behind a row of the goals, and those of its limit."""

    title: str
    service: Costs
    limit: Costs
    # Where the limit is what should cost less, as the rows of a batch.
    is_limit_explained: bool = False
    unit: str = "µs"

    @property
    def layers(self) -> list[tuple[str, float, float]]:
        """Each layer's name, its cost here and in the limit; the small ones of many are one."""
        names = list(dict.fromkeys([*self.service.layers, *self.limit.layers]))
        every = [(name, self.service.layers.get(name, 0), self.limit.layers.get(name, 0)) for name in names]
        if len(every) <= ROWS_SHOWN + 1:
            return every
        ranked = sorted(every, key=lambda layer: -max(abs(layer[1] - layer[2]), 0.1 * layer[1]))
        rest = ranked[ROWS_SHOWN - 1 :]
        others = (f"{len(rest)} others", sum(own for _, own, _ in rest), sum(limit for *_, limit in rest))
        return [*ranked[: ROWS_SHOWN - 1], others]


class Profiles:
    """The profiles in a folder, each by the title of its goal."""

    def __init__(self, folder: Path | None, machine: str) -> None:
        self._folder = folder
        self._machine = machine
        self._known = {} if folder is None else {each.title: each for each in load(folder, machine)}

    @property
    def all(self) -> list[Profile]:
        """What is known."""
        return list(self._known.values())

    def begin(self) -> None:
        """Let go what earlier runs had to explain."""
        self._known = {}

    def keep(self, profile: Profile, per_second: int) -> None:
        """Add the profile, or put it in place of an earlier one, and write it where results are asked for."""
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
    return Profile(**{**data, "service": Costs(**data["service"]), "limit": Costs(**data["limit"])})


def page_of(profile: Profile) -> str:
    """Return the tables of one profile."""
    unit = profile.unit
    layers = [
        [name, f"{own:.1f}", f"{limit:.1f}", f"{own - limit:+.1f}"] for name, own, limit in profile.layers
    ]
    own, limit = profile.service.total, profile.limit.total
    sums = ["**together**", f"{own:.1f}", f"{limit:.1f}", f"{own - limit:+.1f}"]
    head = ["layer", f"{unit} here", f"{unit} of the limit", "difference"]
    parts = [f"## {profile.title}", table([*layers, sums], head)]
    if profile.service.samples:
        parts += [_functions_of(profile), _samples_of(profile)]
    return "\n\n".join(parts) + "\n"


def _functions_of(profile: Profile) -> str:
    costs = profile.limit if profile.is_limit_explained else profile.service
    most = list(costs.functions.items())[:FUNCTIONS_SHOWN]
    where = "of the limit" if profile.is_limit_explained else "here"
    return table([[f"`{name}`", f"{figure:.1f}"] for name, figure in most], ["function", f"µs {where}"])


def _samples_of(profile: Profile) -> str:
    service, limit = profile.service, profile.limit
    counts = f"{service.samples} samples here, {limit.samples} of the limit."
    if not service.kernel_share:
        return counts
    return (
        f"{counts} By the kernel's own account {service.kernel_share:.0%} and {limit.kernel_share:.0%} "
        "of the time was in the kernel."
    )


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Return a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def reason(profile: Profile) -> str:
    """Return in a sentence what makes the figure what it is."""
    own, limit, unit = profile.service.total, profile.limit.total, profile.unit
    if profile.is_limit_explained:
        return f"of {limit:.3g} {unit} for a row there, {_told(profile, limit, _of_limit)}"
    if abs(own - limit) <= WORTH_TELLING * limit:
        return f"both take about {limit:.3g} {unit}"
    if own < limit:
        return f"of {own:.3g} {unit} here, {_told(profile, own, _of_service)}"
    return f"of {own - limit:.3g} {unit} above the limit, {_told(profile, own - limit, _difference)}"


def _told(profile: Profile, whole: float, figure_of: Callable[[float, float], float]) -> str:
    figures = {name: figure_of(own, limit) for name, own, limit in profile.layers}
    most = sorted(figures.items(), key=lambda each: -each[1])[:LAYERS_TOLD]
    told = [f"{figure:.3g} {name}" for name, figure in most if figure > WORTH_TELLING * whole]
    return "; ".join(told)


def _of_limit(_own: float, limit: float) -> float:
    return limit


def _of_service(own: float, _limit: float) -> float:
    return own


def _difference(own: float, limit: float) -> float:
    return own - limit

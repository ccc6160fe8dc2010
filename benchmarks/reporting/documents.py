"""The tables and plots of the results: goals.md, and docs/performance.md between marks."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastforge_kit.optimizations import Optimization, OptimizationMeasurement, load_optimizations
from fastforge_kit.verdicts import INCONCLUSIVE, MET, MISSED

from benchmarks.goals.rows import Row, row_from
from benchmarks.load.rendering import REPOSITORY
from benchmarks.reporting.advice import ADVICE
from benchmarks.reporting.markdown import table
from benchmarks.reporting.profiles import Profile, reason

RESULTS = REPOSITORY / "benchmarks" / "results"
DOCUMENTS = REPOSITORY / "docs"
OPTIMIZATIONS = REPOSITORY / "kit" / "optimizations"
OPTIMIZATIONS_SHOWN = 12
SECTIONS = (
    "cpu_per_request", "export", "in_process", "latency", "startup", "commands", "published", "full_stack"
)  # fmt: skip
MARKS = ("<!-- {}: made by `make benchmarks` -->", "<!-- end of {} -->")


def machine() -> str:
    """Return the machine and the Python that the figures depend on, in one line."""
    return f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


@dataclass
class Results:
    """The rows of this run, and those of earlier runs on the same machine that this run leaves out."""

    folder: Path | None
    is_quick: bool = False
    document: dict[str, Any] = field(default_factory=dict)
    _renewed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.document = {"machine": machine(), "is_quick": self.is_quick, "servers": [], "goals": []}
        if self.folder is not None and (self.folder / "goals.json").exists():
            earlier = load(self.folder)
            if (earlier["machine"], earlier.get("is_quick")) == (machine(), self.is_quick):
                self.document = earlier

    def begin(self, section: str) -> None:
        """Replace the rows of earlier runs as soon as this run has a row of the section."""
        self._renewed.add(section)

    def keep(self, section: str, row: Row) -> None:
        """Add the row, or replace an earlier one, and write all of them if there is a folder for results."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        data = {**row.as_data(), "section": section, "measured_at": now}
        goals = self.document["goals"]
        if section in self._renewed:
            goals = [each for each in goals if each["section"] != section]
            self._renewed.discard(section)
        known = {each["title"]: each for each in goals} | {row.title: data}
        self.document["goals"] = sorted(known.values(), key=lambda each: SECTIONS.index(each["section"]))
        if self.folder is not None:
            self._write(self.folder)

    def _write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.document, indent=2, ensure_ascii=False)
        (folder / "goals.json").write_text(f"{text}\n", encoding="utf-8")
        (folder / "goals.md").write_text(f"{summary(self.document)}\n\n{goals_table(self.rows)}\n", "utf-8")

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of the report."""
        return rows_of(self.document)


def load(folder: Path) -> dict[str, Any]:
    """Return the document of the results."""
    document: dict[str, Any] = json.loads((folder / "goals.json").read_text(encoding="utf-8"))
    return document


def rows_of(document: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a document."""
    return [row_from(each) for each in document["goals"]]


def summary(document: Mapping[str, Any]) -> str:
    """Return the machine, the servers and the dates of the measurements."""
    dates = sorted({each["measured_at"].partition("T")[0] for each in document["goals"]})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "not yet"
    how = "a quick look" if document["is_quick"] else "measured"
    return f"{document['machine']}; {'; '.join(document['servers'])}; {how} {when}."


def goals_table(rows: Sequence[Row]) -> str:
    """Return all figures with their goals, and why some are inconclusive for reasons other than noise."""
    head = ["Scenario", "Compared with", "CPU per request", "Ratio or value (target)", "Result"]
    reasons = [f"Inconclusive: {row.title}, because {row.reason}." for row in rows if row.reason]
    return "\n\n".join([table([_cells(row) for row in rows], head), *reasons])


def _cells(row: Row) -> list[str]:
    cpu = [f"{row.details[name]:g}" for name in ("cpu_us", "baseline_cpu_us") if name in row.details]
    verdict = f"**{row.verdict}**" if row.verdict == MISSED else row.verdict
    return [row.title, row.compared_with, f"{' vs '.join(cpu)} µs" if cpu else "", _figure(row), verdict]


def _figure(row: Row) -> str:
    """Return the figure with its target and its middle half; without a number if that is inconclusive."""
    unit = f" {row.unit}" if row.unit else "×"
    figure = "" if row.verdict == INCONCLUSIVE else f"{_short(row.measured)}{unit}"
    target = f"({row.bound}{unit})" if row.bound else ""
    middle = f"middle half of rounds {_short(row.low)}–{_short(row.high)}" if row.low != row.high else ""
    return ", ".join(filter(None, [" ".join(filter(None, [figure, target])), middle]))


def _short(figure: float) -> str:
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:.0f}"


def advice_table(rows: Sequence[Row]) -> str:
    """Return common advice with the figures against it."""
    known = {row.title: row.measured for row in rows}
    known |= {optimization.id: measurement.ratio for optimization, measurement in _proven()}
    found = [
        [each.advice, each.words.format(_short(known[each.proof]))] for each in ADVICE if each.proof in known
    ]
    return table(found, ["Advice", "Measured"])


def _proven() -> list[tuple[Optimization, OptimizationMeasurement]]:
    """Return the optimizations that save enough, with their measurements, the most effective first."""
    found = [
        (each, each.measurement)
        for each in load_optimizations(OPTIMIZATIONS)
        if each.measurement and each.measurement.verdict == MET
    ]
    return sorted(found, key=lambda each: -each[1].ratio)


def optimizations_table() -> str:
    """Return the most effective optimizations, each title once."""
    best = {
        optimization.title: (optimization, measurement) for optimization, measurement in reversed(_proven())
    }
    shown = sorted(best.values(), key=lambda each: -each[1].ratio)[:OPTIMIZATIONS_SHOWN]
    cells = [
        [optimization.title, optimization.workload, f"{measurement.ratio:.2f}×"]
        for optimization, measurement in shown
    ]
    return table(cells, ["Optimization", "Workload", "CPU without it"])


def latency_line(rows: Sequence[Row]) -> str:
    """Return the figures behind the rows of latency."""
    details = next((row.details for row in rows if "p99_ms" in row.details), None)
    if details is None:
        return "Latency was not measured."
    service = f"{details['p50_ms']:g} ms and p99 {details['p99_ms']:g} ms"
    return (
        "Latency counts from when a request was due. "
        f"At {details['peak_per_second'] / 2:.0f} requests per second, half of one worker's peak, "
        f"the median was {service}{_control(details)}."
    )


def _control(details: Mapping[str, float]) -> str:
    if "constant_p99_ms" not in details:
        return ""
    return (
        "; bare servers under the same load, in turn, had "
        f"{details['constant_p50_ms']:g} and {details['constant_p99_ms']:g} ms with constant bytes, "
        f"{details['asyncpg_p50_ms']:g} and {details['asyncpg_p99_ms']:g} ms with asyncpg"
    )


def shortfalls(rows: Sequence[Row], profiles: Sequence[Profile]) -> str:
    """Return the goals that are not met, each with the reason by its profile."""
    reasons = {profile.title: f": {reason(profile)}" for profile in profiles}
    reasons |= {row.title: f": {row.reason}" for row in rows if row.reason}
    lines = [
        f"- {row.title}: {_figure(row)}, {row.verdict}{reasons.get(row.title, '')}"
        for row in rows
        if row.verdict in {MISSED, INCONCLUSIVE}
    ]
    return "\n".join(lines) or "Every goal is met."


def parts_of(document: Mapping[str, Any], profiles: Sequence[Profile] = ()) -> dict[str, str]:
    """Return the texts between the marks of performance.md, by the marks' names."""
    rows = rows_of(document)
    return {
        "machine": summary(document),
        "goals": goals_table(rows),
        "latency": latency_line(rows),
        "optimizations": optimizations_table(),
        "shortfalls": shortfalls(rows, profiles),
        "advice": advice_table(rows),
    }


def with_parts(text: str, parts: Mapping[str, str]) -> str:
    """Return the text with these parts between its marks. Raises `SystemExit` if a mark is missing."""
    for name, part in parts.items():
        start, end = MARKS[0].format(name), MARKS[1].format(name)
        if (text.count(start), text.count(end)) != (1, 1):
            raise SystemExit(f"The document must have each mark of {name!r} exactly once.")
        text = f"{text.partition(start)[0]}{start}\n\n{part}\n\n{end}{text.partition(end)[2]}"
    return text


def write_documents(document: Mapping[str, Any], profiles: Sequence[Profile], folder: Path) -> None:
    """Write the plots, and the tables into performance.md."""
    # Imported here, because only the environment of the benchmarks has matplotlib.
    from benchmarks.reporting.plots import draw

    draw(rows_of(document), folder)
    page = folder / "performance.md"
    page.write_text(
        with_parts(page.read_text(encoding="utf-8"), parts_of(document, profiles)), encoding="utf-8"
    )

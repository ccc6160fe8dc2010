"""The files of the optimizations and of their measurements."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastforge_kit.comparison import Comparison
from fastforge_kit.optimizations import Optimization, load_optimizations
from fastforge_kit.verdicts import INCONCLUSIVE, MISSED

from benchmarks.load.rendering import REPOSITORY
from benchmarks.reporting.markdown import table

FOLDER = REPOSITORY / "kit/optimizations"
MEASUREMENT_TABLE = re.compile(rb"\n*\n\[measurement\]\n.*", re.DOTALL)
HEAD = ["Optimization", "Answers", "Workload", "CPU without it", "Interval", "Result", "Measured"]


def all_optimizations() -> list[Optimization]:
    """Return all optimizations of the template."""
    return load_optimizations(FOLDER)


def file_of(optimization: Optimization) -> Path:
    """Return the file that describes an optimization."""
    return FOLDER / optimization.applies_to / f"{optimization.id}.toml"


def write_measurement(file: Path, measurement: dict[str, Any]) -> None:
    """Write the `[measurement]` table at the end of the file, and change nothing else in it."""
    lines = [f"{name} = {_toml(value)}" for name, value in measurement.items()]
    text = MEASUREMENT_TABLE.sub(b"", file.read_bytes()).rstrip(b"\n")
    file.write_bytes(text + "\n".join(["\n\n[measurement]", *lines, ""]).encode())


def write_rounds(file: Path, comparison: Comparison, answers: dict[str, str], servers: str) -> None:
    """Add the rounds of an optimization to a JSON file, and remove rounds of deleted optimizations."""
    earlier = json.loads(file.read_text()) if file.exists() else {}
    document = {each.id: earlier[each.id] for each in all_optimizations() if each.id in earlier}
    document[comparison.optimization.id] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "answers": answers,
        "servers": servers.splitlines(),
        "rounds": [
            {"cpu_us": round(each.on.cpu_us or 0.0, 1), "cpu_us_without": round(each.off.cpu_us or 0.0, 1)}
            for each in comparison.rounds
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dict(sorted(document.items())), indent=2) + "\n")


def write_table(file: Path) -> None:
    """Write the table of all optimizations."""
    optimizations = all_optimizations()
    missed = [each.id for each in optimizations if each.measurement and each.measurement.verdict == MISSED]
    parts = [
        "The effect of each optimization: CPU time of a request without it, relative to the time with it.",
        optimizations_table(optimizations),
        *([f"These save less than 2%: {', '.join(missed)}."] if missed else []),
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def optimizations_table(optimizations: Sequence[Optimization]) -> str:
    """Return the measurements of all optimizations, the most effective first."""
    return table([_cells(each) for each in sorted(optimizations, key=_rank)], HEAD)


def _rank(optimization: Optimization) -> tuple[bool, bool, float]:
    measurement = optimization.measurement
    if measurement is None:
        return True, True, 0.0
    return False, measurement.verdict == INCONCLUSIVE, -measurement.ratio


def _cells(optimization: Optimization) -> list[str]:
    measurement = optimization.measurement
    cells = [f"`{optimization.id}`: {optimization.title}", optimization.applies_to, optimization.workload]
    if measurement is None:
        return [*cells, "", "", "not measured", ""]
    # An inconclusive measurement gets no number.
    ratio = "" if measurement.verdict == INCONCLUSIVE else f"{measurement.ratio:g}×"
    return [*cells, ratio, f"{measurement.low:g}–{measurement.high:g}", measurement.verdict, measurement.date]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)

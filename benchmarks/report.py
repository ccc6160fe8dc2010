"""`python -m benchmarks.report`: tables and plots of the results in benchmarks/results, without measuring.

They are in goals.md beside the results, and in docs/performance.md between marks; the plots are beside that.
"""

import json
import os
import platform
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.advice import ADVICE
from benchmarks.profile_report import Profile, reason
from benchmarks.profile_report import load as load_profiles
from benchmarks.profile_report import table as markdown_table
from benchmarks.rendering import REPOSITORY
from benchmarks.verdicts import UNDECIDED, Row, row_from

RESULTS = REPOSITORY / "benchmarks" / "results"
DOCUMENTS = REPOSITORY / "docs"
RECORDS = REPOSITORY / "kit" / "optimizations"
RECEIPTS_SHOWN = 12
SECTIONS = ("ratios", "export", "in_process", "latency", "startup", "commands", "published", "full_stack")
MARKS = ("<!-- {}: made by `make benchmarks` -->", "<!-- end of {} -->")


def machine() -> str:
    """Return in a line what the figures depend on most."""
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
        """Let the rows of an earlier run go when the first of this run is there."""
        self._renewed.add(section)

    def keep(self, section: str, row: Row) -> None:
        """Add the row, or put it in place of an earlier one, and write it where results are asked for."""
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
        """What was measured, in the order of the report."""
        return rows_of(self.document)


def load(folder: Path) -> dict[str, Any]:
    """Return the document of the results."""
    document: dict[str, Any] = json.loads((folder / "goals.json").read_text(encoding="utf-8"))
    return document


def rows_of(document: Mapping[str, Any]) -> list[Row]:
    """Return the rows of a document."""
    return [row_from(each) for each in document["goals"]]


def summary(document: Mapping[str, Any]) -> str:
    """Return where and when it was measured."""
    dates = sorted({each["measured_at"].partition("T")[0] for each in document["goals"]})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else "not yet"
    how = "a quick look" if document["is_quick"] else "measured"
    return f"{document['machine']}; {'; '.join(document['servers'])}; {how} {when}."


def goals_table(rows: Sequence[Row]) -> str:
    """Return all figures with their goals, and why those are undecided that the noise does not explain."""
    head = ["workload", "goal", "measured", "middle half", "verdict", "CPU µs", "limit µs"]
    table = markdown_table([_cells(row) for row in rows], head)
    reasons = [f"Undecided: {row.title}, because {row.reason}." for row in rows if row.reason]
    return "\n\n".join([table, *reasons])


def _cells(row: Row) -> list[str]:
    unit = f" {row.unit}" if row.unit else ""
    return [
        row.title,
        f"{row.bound}{unit}" if row.bound else "",
        # What the noise does not decide gets no number.
        "" if row.verdict == UNDECIDED else f"{_short(row.measured)}{unit}",
        f"{_short(row.low)} to {_short(row.high)}" if row.low != row.high else "",
        f"**{row.verdict}**" if row.verdict == "missed" else row.verdict,
        *(f"{row.details[name]:g}" if name in row.details else "" for name in ("cpu_us", "limit_cpu_us")),
    ]


def _short(figure: float) -> str:
    return f"{figure:.3g}" if abs(figure) < 100 else f"{figure:.0f}"


def advice_table(rows: Sequence[Row]) -> str:
    """Return common advice with the figures that speak against it."""
    known = {row.title: row.measured for row in rows} | {
        name: record["measured"]["ratio"] for name, record in _proven().items()
    }
    found = [
        [each.advice, each.words.format(_short(known[each.proof]))] for each in ADVICE if each.proof in known
    ]
    return markdown_table(found, ["advice", "measured"])


def _proven() -> dict[str, dict[str, Any]]:
    """Return the records of the template, by their names, of what pays."""
    paths = sorted(RECORDS.glob("*/*.toml"))
    records = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in paths}
    return {name: each for name, each in records.items() if each.get("measured", {}).get("verdict") == "pays"}


def receipts_table() -> str:
    """Return the optimizations that bring most, each once, from the template's records."""
    proven = sorted(_proven().values(), key=lambda each: -each["measured"]["ratio"])
    best = {each["title"]: each for each in reversed(proven)}
    shown = sorted(best.values(), key=lambda each: -each["measured"]["ratio"])[:RECEIPTS_SHOWN]
    cells = [[each["title"], each["workload"], f"{each['measured']['ratio']:.2f}"] for each in shown]
    return markdown_table(cells, ["optimization", "workload", "CPU without it"])


def latency_line(rows: Sequence[Row]) -> str:
    """Return the figures behind the rows of latency."""
    details = next((row.details for row in rows if "p99_ms" in row.details), None)
    if details is None:
        return "Latency was not measured."
    service = f"{details['p50_ms']:g} ms and p99 {details['p99_ms']:g} ms"
    return (
        "Latency counts from when a request was due. "
        f"At {details['saturation_per_second'] / 2:.0f} requests a second, half of what one worker answered "
        f"at most, the median was {service}{_control(details)}."
    )


def _control(details: Mapping[str, float]) -> str:
    if "constant_p99_ms" not in details:
        return ""
    return (
        "; of bare servers that had the same load in between, "
        f"{details['constant_p50_ms']:g} and {details['constant_p99_ms']:g} ms with constant bytes, "
        f"{details['asyncpg_p50_ms']:g} and {details['asyncpg_p99_ms']:g} ms with asyncpg"
    )


def shortfalls(rows: Sequence[Row], profiles: Sequence[Profile]) -> str:
    """Return what keeps below its goal, and what cannot be told, with the reason by its profile."""
    reasons = {profile.title: f": {reason(profile)}" for profile in profiles}
    reasons |= {row.title: f": {row.reason}" for row in rows if row.reason}
    units = {row.title: f" {row.unit}" if row.unit else "" for row in rows}
    lines = [
        f"- {row.title}: "
        + (UNDECIDED if row.verdict == UNDECIDED else f"{_short(row.measured)}{units[row.title]}")
        + f", goal {row.bound}{units[row.title]}{reasons.get(row.title, '')}"
        for row in rows
        if row.verdict in {"missed", UNDECIDED}
    ]
    return "\n".join(lines) or "Nothing: every goal is met."


def parts_of(document: Mapping[str, Any], profiles: Sequence[Profile] = ()) -> dict[str, str]:
    """Return what belongs between the marks of performance.md, by the marks' names."""
    rows = rows_of(document)
    return {
        "machine": summary(document),
        "goals": goals_table(rows),
        "latency": latency_line(rows),
        "receipts": receipts_table(),
        "shortfalls": shortfalls(rows, profiles),
        "advice": advice_table(rows),
    }


def with_parts(text: str, parts: Mapping[str, str]) -> str:
    """Return the text with these parts between its marks. Raises `SystemExit` where a mark is missing."""
    for name, part in parts.items():
        start, end = MARKS[0].format(name), MARKS[1].format(name)
        if (text.count(start), text.count(end)) != (1, 1):
            raise SystemExit(f"The document has not one of each of the marks of {name!r}.")
        text = f"{text.partition(start)[0]}{start}\n\n{part}\n\n{end}{text.partition(end)[2]}"
    return text


def write_documents(document: Mapping[str, Any], profiles: Sequence[Profile], folder: Path) -> None:
    """Write the plots, and the tables into performance.md."""
    # Only here, because matplotlib is a requirement of benchmarks alone.
    from benchmarks.plots import draw

    draw(rows_of(document), folder)
    page = folder / "performance.md"
    page.write_text(
        with_parts(page.read_text(encoding="utf-8"), parts_of(document, profiles)), encoding="utf-8"
    )


def main() -> None:
    """Write goals.md, the tables and the plots again."""
    document = load(RESULTS)
    table = goals_table(rows_of(document))
    (RESULTS / "goals.md").write_text(f"{summary(document)}\n\n{table}\n", encoding="utf-8")
    write_documents(document, load_profiles(RESULTS), DOCUMENTS)


if __name__ == "__main__":
    main()

"""Plots of the results, as SVG: the same for the same results, readable on light and on dark pages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastforge_kit.verdicts import INCONCLUSIVE, AtMost

from benchmarks.goals.catalogue import READ_BY_BLOG, READ_BY_TUTORIAL, READ_ONE
from benchmarks.goals.rows import Row

GOALS_PLOT = "goals.svg"
CPU_PLOT = "cpu-per-request.svg"

# By meaning: on light pages and on dark ones.
COLORS = {
    "ink": ("#1f2328", "#e6edf3"),
    "paper": ("#ffffff", "#0d1117"),
    "faint": ("#8b949e", "#768390"),
    "met": ("#2a78c2", "#4a9be8"),
    "missed": ("#c4501b", "#f08850"),
    "inconclusive": ("#9a8700", "#d4b830"),
}
INK, PAPER, FAINT = (COLORS[name][0] for name in ("ink", "paper", "faint"))
SETTINGS = {
    "svg.hashsalt": "fastforge",
    # Text stays text: it can be searched and read aloud.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": PAPER,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Bar:
    """One bar of a plot, with the ends of its middle half."""

    label: str
    length: float
    low: float
    high: float
    text: str
    verdict: str


def goal_bars(rows: Sequence[Row]) -> list[Bar]:
    """Return each figure as a share of its goal: at most 1 is met, for upper and lower bounds."""
    return [_goal_bar(row) for row in rows if row.bound is not None]


def _goal_bar(row: Row) -> Bar:
    assert row.bound is not None
    unit = f" {row.unit}" if row.unit else ""
    figure = "" if row.verdict == INCONCLUSIVE else f"{row.measured:.3g}{unit} "
    text = f"{figure}({row.bound}{unit}) {row.verdict}"
    if isinstance(row.bound, AtMost):
        length, low, high = (each / row.bound.value for each in (row.measured, row.low, row.high))
    else:
        length, low, high = (row.bound.value / each for each in (row.measured, row.high, row.low))
    return Bar(row.title.replace("`", ""), length, low, high, text, row.verdict)


def cpu_bars(rows: Sequence[Row]) -> list[Bar]:
    """Return the CPU time of a read by the baseline, by our service and by its common alternatives."""
    known = {row.title: row.details for row in rows}
    figures = {}
    if READ_ONE in known:
        figures["minimal ASGI app with asyncpg"] = known[READ_ONE]["baseline_cpu_us"]
        figures["FastForge's service"] = known[READ_ONE]["cpu_us"]
    for title, label in ((READ_BY_TUTORIAL, "FastAPI's tutorial"), (READ_BY_BLOG, "the advice of blogs")):
        if title in known:
            figures[label] = known[title]["cpu_us"]
    return [Bar(label, us, us, us, f"{us:,.0f} µs", "met") for label, us in figures.items()]


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Write the plots into the folder."""
    import matplotlib as mpl

    mpl.use("svg")
    with mpl.rc_context(SETTINGS):
        _draw(goal_bars(rows), "Share of the goal: met if left of the line", 1.0, folder / GOALS_PLOT)
        title = "CPU per GET /items/{id} from PostgreSQL, in µs"
        _draw(cpu_bars(rows), title, None, folder / CPU_PLOT)


def _draw(bars: Sequence[Bar], title: str, line: float | None, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 0.9 + 0.36 * len(bars)), layout="constrained")
    axes: Any = figure.subplots()
    for place, bar in enumerate(reversed(bars)):
        axes.barh(place, bar.length, color=COLORS[bar.verdict][0], height=0.6)
        if bar.low != bar.high:
            axes.plot([bar.low, bar.high], [place, place], color=INK, linewidth=1.5)
        # Beside the line, not across it.
        end = max(bar.length, bar.high, line or 0)
        axes.annotate(bar.text, (end, place), (6, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(bars)), [bar.label for bar in reversed(bars)])
    axes.set_xlim(0, 1.6 * max((max(bar.length, bar.high) for bar in bars), default=1.0))
    axes.set_ylim(-0.6, len(bars) - 0.4)
    axes.set_title(title, loc="left", fontsize=11)
    if line is not None:
        axes.axvline(line, color=INK, linewidth=1, linestyle="--")
    figure.savefig(path, format="svg", metadata={"Date": None, "Title": title})
    path.write_text(for_light_and_dark(path.read_text(encoding="utf-8")), encoding="utf-8")


def for_light_and_dark(svg: str) -> str:
    """Return the drawing with a style that replaces its colors for readers who prefer dark pages."""
    rules = [
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'
        for light, dark in COLORS.values()
        for part in ("fill", "stroke")
    ]
    style = f"<style>@media (prefers-color-scheme:dark){{{''.join(rules)}}}</style>"
    # Matplotlib leaves trailing blanks.
    lines = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
    return re.sub(r"(<svg [^>]*>)", lambda found: f"{found[1]}\n {style}", lines, count=1)

"""The results as one HTML page that needs nothing else: no script, no font, no network."""

from collections.abc import Sequence
from html import escape
from operator import attrgetter

from fastforge_kit.comparison import NOT_MEASURED, WORTHWHILE, Comparison
from fastforge_kit.measurement import WorkloadMeasurement
from fastforge_kit.plots import LinearScale, LogScale, Row, plot
from fastforge_kit.project import service_name
from fastforge_kit.report import figures, optimization_verdicts, target_verdicts
from fastforge_kit.results import Results
from fastforge_kit.targets import targets, verdict
from fastforge_kit.verdicts import INCONCLUSIVE, MET, MISSED

STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --back: #fff; --soft: #5c6675; --line: #dfe3e8;
  --met: #187a3c; --missed: #c0271d; --inconclusive: #9a6200; --plain: #2a5db0; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --back: #14181f; --soft: #9aa5b4;
  --line: #2f3743; --met: #5fc98a; --missed: #ff8378; --inconclusive: #e3ad4e; --plain: #82aaf0; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } p { max-width: 46rem; }
.about, figcaption { color: var(--soft); } figure { margin: 1.5rem 0; } .wide { overflow-x: auto; }
.partial { border-left: 4px solid var(--missed); padding: 0.5rem 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; font-weight: inherit; } thead th { color: var(--soft); }
.met { color: var(--met); fill: var(--met); stroke: var(--met); }
.missed { color: var(--missed); fill: var(--missed); stroke: var(--missed); }
.inconclusive, .not-measured { color: var(--inconclusive); fill: var(--inconclusive); stroke: var(--inconclusive); }
.plain { fill: var(--plain); stroke: var(--plain); }
svg { width: 100%; min-width: 38rem; font: 13px system-ui, sans-serif; } svg text { fill: var(--text); stroke: none; }
.range { stroke-width: 6; stroke-linecap: round; stroke-opacity: 0.55; } .grid { stroke: var(--line); }
.mark { stroke: var(--soft); stroke-dasharray: 4 3; } .tick { text-anchor: middle; } svg .tick { fill: var(--soft); }
.label, .value { text-anchor: end; }
""".strip()
VERDICTS = {MET, MISSED, INCONCLUSIVE, NOT_MEASURED}
LATENCIES = ("p50_ms", "p99_ms")


def as_page(results: Results) -> str:
    """Return the text of the page."""
    sections = [
        *(_endpoint_sections(results.measured) if results.measured else []),
        *(_optimization_sections(list(results.comparisons.values())) if results.comparisons else []),
        *(f"<p>{escape(remark)}</p>" for remark in [*results.obstacles(), *results.remarks()]),
    ]
    title = f"{escape(service_name())}: measurements"
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style></head><body>",
            f"<h1>{title}</h1>",
            f'<p class="about">{escape(_circumstances(results))}</p>',
            *([f'<p class="partial">{escape(_partial(results.error))}</p>'] if results.error else []),
            *sections,
            "</body></html>\n",
        ]
    )


def _circumstances(results: Results) -> str:
    load = results.load
    return (
        f"{results.machine}. {results.measured_at:%d %B %Y, %H:%M} UTC. {load.connections} connections, "
        f"{load.rounds} rounds of {load.seconds:g} s for each endpoint."
    )


def _partial(error: BaseException) -> str:
    return f"Partial results: {error} The page shows the measurements before it."


def _endpoint_sections(measurements: Sequence[WorkloadMeasurement]) -> list[str]:
    return [
        "<h2>Targets</h2>",
        _table(target_verdicts(measurements)),
        "<h2>Latency</h2>",
        _figure(
            _latencies(measurements),
            "Milliseconds on a logarithmic scale. The dot is the median, the end of the line the 99th percentile.",
        ),
        "<h2>Throughput</h2>",
        _figure(
            _throughput(measurements),
            "Responses per second on a logarithmic scale. A batch and an export count by their rows.",
        ),
        "<h2>CPU time</h2>",
        *_cpu_figure(measurements),
        _table(figures(measurements)),
    ]


def _latencies(measurements: Sequence[WorkloadMeasurement]) -> str:
    limits = [target for target in targets() if target.figure in LATENCIES]
    rows = []
    for each in measurements:
        p50, p99 = (each.median(attrgetter(name)) or 0.0 for name in LATENCIES)
        verdicts = {verdict(target, each) for target in limits}
        tone = next(tone for tone in (MISSED, INCONCLUSIVE, MET) if tone in verdicts)
        rows.append(Row(each.workload.name, p50, p99, p50, f"{p50:.1f} – {p99:.1f}", tone))
    bounds = [(target.name, target.bound.value) for target in limits]
    values = [value for row in rows for value in (row.low, row.high)] + [bound for _, bound in bounds]
    return plot("Latency of each endpoint", rows, LogScale(values), bounds)


def _throughput(measurements: Sequence[WorkloadMeasurement]) -> str:
    target = next(each for each in targets() if each.figure == "rows_per_second")
    tones = [verdict(target, each) for each in measurements]
    return _bars(
        "Throughput of each endpoint", measurements, target.figure, tones, [(target.name, target.bound.value)]
    )


def _cpu_figure(measurements: Sequence[WorkloadMeasurement]) -> list[str]:
    if any(each.median(attrgetter("cpu_us")) is None for each in measurements):
        return []
    bars = _bars("CPU time of a response", measurements, "cpu_us", ["plain"] * len(measurements))
    return [_figure(bars, "Microseconds of the service's CPU time for one response, on a logarithmic scale.")]


def _bars(
    title: str,
    measurements: Sequence[WorkloadMeasurement],
    name: str,
    tones: Sequence[str],
    marks: Sequence[tuple[str, float]] = (),
) -> str:
    values = [each.median(attrgetter(name)) or 0.0 for each in measurements]
    scale = LogScale([*values, *(bound for _, bound in marks)])
    rows = [
        Row(each.workload.name, scale.ticks()[0], value, value, f"{value:,.0f}", tone)
        for each, value, tone in zip(measurements, values, tones, strict=True)
    ]
    return plot(title, rows, scale, marks)


def _optimization_sections(comparisons: Sequence[Comparison]) -> list[str]:
    shown = [each for each in comparisons if each.interval is not None]
    caption = (
        "Additional CPU time of a request without the optimization, in percent. The line is "
        f"the confidence interval; the verdict is met if the whole line is beyond {_percent(WORTHWHILE.value):.0f}%."
    )
    return [
        "<h2>Optimizations</h2>",
        *([_figure(_effects(shown), caption)] if shown else []),
        _table(optimization_verdicts(comparisons)),
        "<dl>",
        *(
            f"<dt><b>{escape(each.optimization.id)}</b>: {escape(each.optimization.title)}</dt>"
            f"<dd>{escape(each.obstacle or each.optimization.why)}</dd>"
            for each in comparisons
        ),
        "</dl>",
    ]


def _effects(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for each in comparisons:
        low, high = map(_percent, each.interval or (1, 1))
        effect = None if each.ratio is None else _percent(each.ratio)
        text = INCONCLUSIVE if effect is None else f"{effect:+.0f}%"
        rows.append(Row(each.optimization.id, low, high, effect, text, each.verdict.replace(" ", "-")))
    scale = LinearScale([end for row in rows for end in (row.low, row.high)])
    return plot("Saving of each optimization", rows, scale, [("worthwhile", _percent(WORTHWHILE.value))])


def _percent(ratio: float) -> float:
    return 100 * ratio - 100


def _figure(svg: str, caption: str) -> str:
    return f'<figure><div class="wide">{svg}</div><figcaption>{escape(caption)}</figcaption></figure>'


def _table(rows: list[list[str]]) -> str:
    head, *body = rows
    lines = [
        f'<tr><th scope="row">{escape(name)}</th>{"".join(map(_cell, cells))}</tr>' for name, *cells in body
    ]
    headings = "".join(f'<th scope="col">{escape(text)}</th>' for text in head)
    return "\n".join(
        [
            '<div class="wide"><table>',
            f"<thead><tr>{headings}</tr></thead><tbody>",
            *lines,
            "</tbody></table></div>",
        ]
    )


def _cell(text: str) -> str:
    tone = f' class="{text.replace(" ", "-")}"' if text in VERDICTS else ""
    return f"<td{tone}>{escape(text)}</td>"

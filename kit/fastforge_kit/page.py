"""What was measured, as one HTML page that needs nothing else: no script, no font, no network."""

from collections.abc import Sequence
from html import escape
from operator import attrgetter

from fastforge_kit.comparison import WORTH_RATIO, Comparison
from fastforge_kit.measurement import Measurement
from fastforge_kit.plots import LinearScale, LogScale, Row, plot
from fastforge_kit.project import service_name
from fastforge_kit.report import figures, target_verdicts, tuning_verdicts
from fastforge_kit.results import Results
from fastforge_kit.targets import targets, verdict

STYLE = """
:root { color-scheme: light dark; --text: #1c2330; --back: #fff; --soft: #5c6675; --line: #dfe3e8;
  --pass: #187a3c; --fail: #c0271d; --undecided: #9a6200; --plain: #2a5db0; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --back: #14181f; --soft: #9aa5b4;
  --line: #2f3743; --pass: #5fc98a; --fail: #ff8378; --undecided: #e3ad4e; --plain: #82aaf0; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; } p { max-width: 46rem; }
.about, figcaption { color: var(--soft); } figure { margin: 1.5rem 0; } .wide { overflow-x: auto; }
.partial { border-left: 4px solid var(--fail); padding: 0.5rem 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; font-weight: inherit; } thead th { color: var(--soft); }
.pass, .pays { color: var(--pass); fill: var(--pass); stroke: var(--pass); }
.fail, .does-not-pay { color: var(--fail); fill: var(--fail); stroke: var(--fail); }
.undecided, .not-measured { color: var(--undecided); fill: var(--undecided); stroke: var(--undecided); }
.plain { fill: var(--plain); stroke: var(--plain); }
svg { width: 100%; min-width: 38rem; font: 13px system-ui, sans-serif; } svg text { fill: var(--text); stroke: none; }
.range { stroke-width: 6; stroke-linecap: round; stroke-opacity: 0.55; } .grid { stroke: var(--line); }
.mark { stroke: var(--soft); stroke-dasharray: 4 3; } .tick { text-anchor: middle; } svg .tick { fill: var(--soft); }
.label, .value { text-anchor: end; }
""".strip()
VERDICTS = {"pass", "fail", "undecided", "pays", "does not pay", "not measured"}


def as_page(results: Results) -> str:
    """Return the text of the page."""
    sections = [
        *(_endpoint_sections(results.measurements) if results.measurements else []),
        *(_tuning_sections(results.comparisons) if results.comparisons else []),
        *(f"<p>{escape(remark)}</p>" for remark in results.remarks()),
    ]
    title = f"{escape(service_name())}: how fast it is"
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
        f"{results.machine}. {results.measured_at:%d %B %Y, %H:%M} UTC. {load.connections} requests at once, "
        f"{load.rounds} rounds of {load.seconds:g} s for each endpoint."
    )


def _partial(error: BaseException) -> str:
    return f"Partial results: {error} What was measured until then is below."


def _endpoint_sections(measurements: Sequence[Measurement]) -> list[str]:
    return [
        "<h2>Does it meet its targets?</h2>",
        _table(target_verdicts(measurements)),
        "<h2>How long an answer takes</h2>",
        _figure(
            _latencies(measurements),
            "Milliseconds, each step ten times the one before. Half of the answers come before the dot, "
            "99 of 100 before the end of the line.",
        ),
        "<h2>How many answers it gives in a second</h2>",
        _figure(
            _throughput(measurements),
            "Each step is ten times the one before. A batch and an export count by their items.",
        ),
        "<h2>What an answer costs</h2>",
        *_cpu_figure(measurements),
        _table(figures(measurements)),
    ]


def _latencies(measurements: Sequence[Measurement]) -> str:
    rows = []
    for each in measurements:
        p50, p99 = (each.median(attrgetter(name)) or 0.0 for name in ("p50_ms", "p99_ms"))
        verdicts = {verdict(target, each) for target in targets() if target.figure in {"p50_ms", "p99_ms"}}
        tone = next(tone for tone in ("fail", "undecided", "pass") if tone in verdicts)
        rows.append(Row(each.workload.name, p50, p99, p50, f"{p50:.1f} – {p99:.1f}", tone))
    bounds = [(target.name, target.bound) for target in targets() if target.figure in {"p50_ms", "p99_ms"}]
    values = [value for row in rows for value in (row.low, row.high)] + [bound for _, bound in bounds]
    return plot("Latency of each endpoint", rows, LogScale(values), bounds)


def _throughput(measurements: Sequence[Measurement]) -> str:
    target = next(each for each in targets() if each.figure == "items_per_second")
    tones = [verdict(target, each) for each in measurements]
    return _bars(
        "Throughput of each endpoint", measurements, target.figure, tones, [(target.name, target.bound)]
    )


def _cpu_figure(measurements: Sequence[Measurement]) -> list[str]:
    if any(each.median(attrgetter("cpu_us")) is None for each in measurements):
        return []
    bars = _bars("CPU time of an answer", measurements, "cpu_us", ["plain"] * len(measurements))
    return [_figure(bars, "Microseconds of the service's own CPU time, each step ten times the one before.")]


def _bars(
    title: str,
    measurements: Sequence[Measurement],
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


def _tuning_sections(comparisons: Sequence[Comparison]) -> list[str]:
    shown = [each for each in comparisons if each.interval is not None]
    caption = (
        "CPU time of a request without the tuning, in percent more than with it. The true value lies within the "
        f"line, all but surely; a tuning pays where all of it is beyond {100 * WORTH_RATIO - 100:.0f}%."
    )
    return [
        "<h2>Do its tunings pay on this machine?</h2>",
        *([_figure(_effects(shown), caption)] if shown else []),
        _table(tuning_verdicts(comparisons)),
        "<dl>",
        *(
            f"<dt><b>{escape(each.tuning.id)}</b>: {escape(each.tuning.title)}</dt>"
            f"<dd>{escape(each.obstacle or each.tuning.why)}</dd>"
            for each in comparisons
        ),
        "</dl>",
    ]


def _effects(comparisons: Sequence[Comparison]) -> str:
    rows = []
    for each in comparisons:
        low, high = (100 * end - 100 for end in each.interval or (1, 1))
        effect = None if each.ratio is None else 100 * each.ratio - 100
        text = "undecided" if effect is None else f"{effect:+.0f}%"
        rows.append(Row(each.tuning.id, low, high, effect, text, each.verdict.replace(" ", "-")))
    scale = LinearScale([end for row in rows for end in (row.low, row.high)])
    return plot("What each tuning saves", rows, scale, [("worth it", 100 * WORTH_RATIO - 100)])


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

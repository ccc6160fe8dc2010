"""`fastforge explain`: show the optimizations and the routes of a project."""

from __future__ import annotations

import os
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastforge.cli.parameters import Json
from fastforge.errors import write_json

if TYPE_CHECKING:
    from fastforge.inspect.explain import Explanation, Found
    from fastforge.inspect.optimizations import Optimization

_WIDTH = 100


_Place = Annotated[
    str,
    typer.Argument(
        metavar="[PATH]",
        help="The project's directory, one of its files, or a line of one, such as app/main.py:12.",
        show_default=False,
    ),
]
_Routes = Annotated[
    bool,
    typer.Option("--routes", help="List the routes: those on the fast path, and why the others are not."),
]


def explain(path: _Place = ".", routes: _Routes = False, json: Json = False) -> None:
    """List the optimizations of a project, with their effects.

    For a file or a line, the output has the patch that removes each optimization, ready for `git apply`.

    Example: fastforge explain app/forge/http/middleware.py
    """
    if routes:
        _print_routes(path, json=json)
        return
    from fastforge.inspect.explain import explain

    explanation = explain(path)
    if json:
        write_json(explanation.document())
    else:
        print("\n".join(_lines(explanation)))


def _print_routes(path: str, *, json: bool) -> None:
    from fastforge.inspect.routes import routes_of

    directory, routes = routes_of(path)
    if json:
        write_json({"path": str(directory), "routes": [vars(route) for route in routes]})
        return
    width = max((len(route.path) for route in routes), default=0)
    for route in routes:
        print(f"{route.method:<7} {route.path:<{width}}  {route.reason or 'fast path'}")
    direct = sum(route.direct for route in routes)
    print(f"\n{direct} of {len(routes)} routes are on the fast path. FastAPI alone handles the others.")


def _lines(explanation: Explanation) -> Iterator[str]:
    file, line = explanation.subject.file, explanation.subject.line
    where = file if line is None else f"{file}:{line}"
    if not explanation.found:
        yield f"No optimization is in {where or explanation.subject.project}."
        if explanation.files:
            yield from textwrap.wrap(f"Files with optimizations: {', '.join(explanation.files)}", _WIDTH)
        return
    if explanation.is_nearest:
        yield f"No optimization is in {where}. The nearest in the file:\n"
        for found in explanation.found:
            yield from _in_short(found, explanation.subject.project)
        return
    for number, found in enumerate(explanation.found):
        yield from [""] * bool(number)
        yield from _in_detail(found) if file else _in_short(found, explanation.subject.project)
    if not file:
        yield f"\n{len(explanation.found)} optimizations. See why, and the patch that undoes one:"
        yield "    fastforge explain FILE:LINE"


def _in_short(found: Found, project: Path) -> Iterator[str]:
    yield f"{_place(found)}  {found.optimization.title}"
    yield f"    {effect(found.optimization)}"
    if not found.changed:
        yield f"    {_summary(found, project)}"


def _in_detail(found: Found) -> Iterator[str]:
    optimization = found.optimization
    yield f"{_place(found)}  {optimization.title} ({optimization.id}, since {optimization.since})"
    yield from textwrap.wrap(optimization.why, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    yield f"    {effect(optimization)}"
    if found.undo:
        yield "    Undo, with git apply:"
        yield found.undo.rstrip("\n")


def _place(found: Found) -> str:
    if found.changed:
        return f"{found.changed} (changed here)"
    # The first place in each file; imports come last in the descriptions.
    first_lines = {place.file: place.first_line for place in reversed(found.places)}
    return ", ".join(f"{file}:{line}" for file, line in reversed(first_lines.items()))


def _summary(found: Found, project: Path) -> str:
    lines = found.undo.splitlines()
    gone = sum(line.startswith("-") and not line.startswith("--- ") for line in lines)
    new = sum(line.startswith("+") and not line.startswith("+++ ") for line in lines)
    place = found.places[0]
    file = os.path.relpath(project / place.file)
    return f"Undo: -{gone} +{new} lines; fastforge explain {shlex.quote(f'{file}:{place.first_line}')}"


def effect(optimization: Optimization) -> str:
    """Return the measured effect in words; without figures if the measurement was inconclusive."""
    workload, measurement = optimization.workload, optimization.measurement
    if measurement is None:
        return f"Effect: not measured yet (workload: {workload})"
    source = f"{measurement.date}, {measurement.machine}"
    if measurement.verdict == "inconclusive":
        return f"Effect: inconclusive (workload: {workload}; {source})"
    figures = f"{_percent(measurement.ratio)} ({_percent(measurement.low)} to {_percent(measurement.high)})"
    return f"Effect: without it, {workload!r} uses {figures} CPU ({source})"


def _percent(ratio: float) -> str:
    return f"{100 * ratio - 100:+.0f}%"

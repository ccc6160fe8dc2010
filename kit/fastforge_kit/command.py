"""The command: its order of measurements, its output and its exit code."""

import json
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from http.client import HTTPException
from pathlib import Path

from fastforge_kit.comparison import compare
from fastforge_kit.errors import CannotMeasure, Interrupted, exit_code, in_words, tell
from fastforge_kit.measurement import Load, measure
from fastforge_kit.openapi import chosen_resource, resources_of
from fastforge_kit.options import Options, chosen, read_options
from fastforge_kit.page import as_page
from fastforge_kit.project import PROJECT, throwaway_databases
from fastforge_kit.report import as_text
from fastforge_kit.results import Results
from fastforge_kit.service import Start, available_port, running_services
from fastforge_kit.workloads import RESOURCE_WORKLOADS, workloads_of

RESULTS = PROJECT / "var/benchmarks"
# For each round of an endpoint.
ROUNDS_OF_AN_OPTIMIZATION = 3
Steps = Generator[str, None, None]


def run(arguments: Sequence[str]) -> int:
    """Measure and print. Return 0, 1 after a failure, 2 for wrong arguments, or 128 plus the signal's number."""
    results = Results(Load(0, 0, 0, 0))
    try:
        options = read_options(arguments)
        results.load = _load(options)
        with closing(_steps(options, results)) as steps:
            for step in steps:
                _progress(step)
    except ModuleNotFoundError as error:
        results.error = CannotMeasure(f"{error.name} is not installed.", "Run: make install")
    except (CannotMeasure, OSError, HTTPException, Interrupted) as error:
        results.error = error
    _progress("")
    return _finish(results, as_json="--json" in arguments)


def _load(options: Options) -> Load:
    generators = max(1, (os.cpu_count() or 1) // 2)
    return Load(options.connections, generators, options.rounds, options.seconds)


def _steps(options: Options, results: Results) -> Steps:
    """Measure; yield the latest measurement and the number of all measurements. Raises `CannotMeasure`."""
    with throwaway_databases() as (url, another):
        yield from _endpoint_steps(options, results, url)
        yield from _optimization_steps(options, results, [url, another])


def _optimization_steps(options: Options, results: Results, database_urls: Sequence[str]) -> Steps:
    # Each side takes as long as an endpoint, in more rounds: a ratio needs more of them than a single figure.
    rounds = options.rounds * ROUNDS_OF_AN_OPTIMIZATION
    seconds = options.seconds / ROUNDS_OF_AN_OPTIMIZATION
    load = results.load._replace(generators=1, rounds=rounds, seconds=seconds)
    environments = [{"DATABASE_URL": url} for url in database_urls]
    writing = {each.name for each in RESOURCE_WORKLOADS if each.writes}
    ordered = sorted(options.optimizations, key=lambda each: each.workload in writing)
    for number, optimization in enumerate(ordered):
        for comparison in compare(
            optimization, PROJECT, environments, load, (options.resource, options.default_resource)
        ):
            results.comparisons[optimization.id] = comparison
            done = number * rounds + len(comparison.rounds)
            yield f"{done} of {len(ordered) * rounds}: {optimization.id}"


def _endpoint_steps(options: Options, results: Results, database_url: str) -> Steps:
    if options.endpoints == "none":
        return
    workers = {"WORKERS": str(options.workers)} if options.workers else {}
    yield "Starting the service"
    start = Start(PROJECT, available_port(options.port), {"DATABASE_URL": database_url, **workers})
    with running_services(start) as services:
        resources = resources_of(services[0])
        resource = chosen_resource(resources, options.resource, options.default_resource)
        workloads = chosen(
            "--endpoints",
            options.endpoints,
            workloads_of(resource),
            lambda each: f"{each.name} ({each.endpoint})",
        )
        total = len(workloads) * results.load.rounds
        measured = measure(services[0], workloads, resources, resource, results.load)
        for done, measurement in enumerate(measured, 1):
            results.measurements[measurement.workload.name] = measurement
            yield f"{done} of {total}: {measurement.workload.name}"


def _progress(text: str) -> None:
    # It rewrites its line, which makes sense only at a terminal.
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _finish(results: Results, *, as_json: bool) -> int:
    """Print the results, write the page, and return the exit code."""
    page = None
    if not results.is_empty:
        try:
            page = _write_page(results)
        except OSError as error:
            results.error = results.error or error
    failure = {} if results.error is None else in_words(results.error)
    if results.is_empty:
        return tell(results.error, as_json=as_json) if results.error else 0
    if as_json:
        _print(json.dumps({**failure, **results.document(page)}, indent=2))
    else:
        _print("\n".join([as_text(results), *([f"\nWith plots: {page}"] if page else [])]))
    if failure and not as_json:
        print(f"Error: {failure['error']} {failure['hint']} The results above are partial.", file=sys.stderr)
    return exit_code(results.error)


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # The reader has closed the pipe; Python would report it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_page(results: Results) -> str:
    RESULTS.mkdir(parents=True, exist_ok=True)
    path: Path = RESULTS / f"{results.measured_at:%Y-%m-%dT%H-%M-%S}.html"
    path.write_text(as_page(results), encoding="utf-8")
    return str(path)

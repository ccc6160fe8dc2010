"""`python -m benchmarks`: measure the goals of FastForge's services and commands.

Baselines are measured in the same run. Each row is written at once, so an interrupted run keeps its rows.
Rows that a run leaves out stay as they were if they are from the same machine.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fastforge_kit.errors import CannotMeasure

from benchmarks.comparisons import full_stack, published
from benchmarks.goals import commands, cpu_per_request, export, in_process, latency, startup
from benchmarks.goals.rows import Row
from benchmarks.goals.session import Session
from benchmarks.load.cores import leave_server_core
from benchmarks.profiling.goals import profiles
from benchmarks.profiling.sampling import SAMPLES_PER_SECOND
from benchmarks.reporting.documents import Results, goals_table, machine, write_documents
from benchmarks.reporting.profiles import Profiles
from testkit.servers import ServerUnavailable, open_servers
from testkit.servers.running import KINDS, describe

# In the order of the report.
SECTIONS: tuple[Callable[[Session], Iterator[Row]], ...] = (
    cpu_per_request.rows,
    export.rows,
    in_process.rows,
    latency.rows,
    startup.rows,
    commands.rows,
)
INTERRUPTED = 130
FAILURES = (CannotMeasure, ServerUnavailable, subprocess.SubprocessError, OSError, SystemExit)


def main() -> None:
    """Measure, print and write. Raises `SystemExit`: 1 if a figure is missing, 130 on Ctrl-C."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    explained = Profiles(options.results, machine())
    results, failed, code = Results(options.results, is_quick=options.quick), list[str](), 0
    try:
        with ExitStack() as stack:
            session = _session(options, results, stack)
            _measure(session, _sections(options), results, failed)
            if _sections(options) is SECTIONS:
                _profile(session, results, explained, failed)
    except KeyboardInterrupt:
        failed.append("Interrupted. The measured rows are kept.")
        code = INTERRUPTED
    print(goals_table(results.rows))
    if options.docs:
        write_documents(results.document, explained.all, options.docs)
    for line in failed:
        print(line, file=sys.stderr)
    sys.exit(code or bool(failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows with this text in their title (all)")
    parser.add_argument("--quick", action="store_true", help="two minutes, too short for reliable verdicts")
    parser.add_argument("--published", action="store_true", help="the published generators only")
    parser.add_argument(
        "--full-stack",
        type=full_stack.checkout,
        metavar="DIR",
        help="with the published generators: a checkout of fastapi/full-stack-fastapi-template",
    )
    parser.add_argument("--rounds", type=int, help="rounds of every workload (7)")
    parser.add_argument("--seconds", type=float, help="length of a round (0.7)")
    parser.add_argument("--connections", type=int, default=16, help="requests at once (16)")
    parser.add_argument("--latency-seconds", type=float, help="length of the open-loop load (60)")
    parser.add_argument("--export-rows", type=int, help="rows to export (1,000,000)")
    parser.add_argument("--results", type=Path, help="folder for goals.json and goals.md")
    parser.add_argument("--docs", type=Path, help="folder of performance.md, to update its tables and plots")
    return parser


def _sections(options: argparse.Namespace) -> tuple[Callable[[Session], Iterator[Row]], ...]:
    return (published.rows, full_stack.rows) if options.published or options.full_stack else SECTIONS


def _session(options: argparse.Namespace, results: Results, stack: ExitStack) -> Session:
    core = leave_server_core()
    servers = stack.enter_context(open_servers(set(KINDS) - {"nginx"}))
    results.document["servers"] = describe(servers).splitlines()
    rounds, seconds, latency_seconds, export_rows = (
        (3, 0.3, 6.0, 100_000) if options.quick else (7, 0.7, 60.0, 1_000_000)
    )
    return Session(
        servers=servers,
        folder=Path(stack.enter_context(tempfile.TemporaryDirectory())),
        only=options.only,
        rounds=options.rounds or rounds,
        seconds=options.seconds or seconds,
        connections=options.connections,
        latency_seconds=options.latency_seconds or latency_seconds,
        export_rows=options.export_rows or export_rows,
        core=core,
        full_stack=options.full_stack,
    )


def _measure(
    session: Session,
    sections: tuple[Callable[[Session], Iterator[Row]], ...],
    results: Results,
    failed: list[str],
) -> None:
    for section in sections:
        name = section.__module__.rpartition(".")[2]
        if not session.only:
            results.begin(name)
        try:
            for row in section(session):
                results.keep(name, row)
        except FAILURES as why:
            failed.append(f"{name}: {str(why) or type(why).__name__}")


def _profile(session: Session, results: Results, explained: Profiles, failed: list[str]) -> None:
    if not session.only:
        explained.begin()
    try:
        for profile in profiles(session, results.rows):
            explained.keep(profile, SAMPLES_PER_SECOND)
    except FAILURES as why:
        failed.append(f"profiles: {str(why) or type(why).__name__}")


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()

"""`python -m benchmarks.optimizations [NAME ...]`: measure each optimization of the template, on and off.

The figure is the CPU time of a request without the optimization, relative to the time with it. Each file gets
its `[measurement]` table as soon as all rounds are complete; one that fails stays as it was, and the others
are measured.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fastforge_kit.comparison import Comparison
from fastforge_kit.measurement import Load
from fastforge_kit.optimizations import Optimization

from benchmarks.load.rendering import REPOSITORY
from benchmarks.optimizations.files import (
    all_optimizations,
    file_of,
    write_measurement,
    write_rounds,
    write_table,
)
from benchmarks.optimizations.measure import answers_of, measure, measurement_of, servers_for, versions_of
from benchmarks.optimizations.prompts import write_prompts
from benchmarks.reporting.__main__ import main as write_documents
from testkit.servers import open_servers
from testkit.servers.running import describe

INTERRUPTED = 130


def main() -> None:
    """Measure and write. Raises `SystemExit`: 1 if an optimization was not measured, 130 on Ctrl-C."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    chosen = _chosen(options.names)
    failures: list[str] = []
    try:
        _measure(chosen, options, failures)
    except KeyboardInterrupt:
        failures.append("Interrupted. The finished measurements are kept.")
        sys.exit(INTERRUPTED)
    finally:
        write_prompts(all_optimizations())
        write_table(options.results / "optimizations.md")
        write_documents()
        print(*failures, sep="\n", file=sys.stderr)
    sys.exit(bool(failures))


def measured(
    chosen: Sequence[Optimization],
    measure_one: Callable[[Optimization], Comparison],
    failures: list[str],
    seconds: float,
) -> Iterator[Comparison]:
    """Yield the comparison of each optimization that can be measured; add the others to `failures`.

    After this time, no further measurement begins.
    """
    deadline = time.monotonic() + seconds
    for optimization in chosen:
        if time.monotonic() > deadline:
            failures.append(f"{optimization.id}: not measured, the {seconds / 60:g} minutes are over.")
            continue
        try:
            comparison = measure_one(optimization)
        # A failure here must not prevent the other measurements.
        except (Exception, SystemExit) as why:  # noqa: BLE001
            failures.append(f"{optimization.id}: {str(why) or type(why).__name__}")
        else:
            yield comparison


def _measure(chosen: Sequence[Optimization], options: argparse.Namespace, failures: list[str]) -> None:
    load = Load(options.connections, 1, options.rounds, options.seconds)
    with ExitStack() as stack:
        servers = stack.enter_context(open_servers(servers_for(chosen)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def measure_one(optimization: Optimization) -> Comparison:
            return measure(optimization, servers, folder, load)

        for comparison in measured(chosen, measure_one, failures, 60 * options.minutes):
            optimization = comparison.optimization
            found = measurement_of(comparison, versions_of(optimization))
            write_measurement(file_of(optimization), found)
            rounds = options.results / "optimizations.json"
            write_rounds(rounds, comparison, answers_of(optimization), describe(servers))
            number = chosen.index(optimization) + 1
            figures = f"{found['verdict']} ({found['low']:g}–{found['high']:g})"
            print(f"{number} of {len(chosen)}: {optimization.id}: {figures}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.optimizations", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="optimizations, by the names of their files (all)"
    )
    parser.add_argument("--rounds", type=int, default=9, help="rounds with and without each (9)")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a round (0.3)")
    parser.add_argument("--connections", type=int, default=16, help="requests at once (16)")
    parser.add_argument(
        "--minutes", type=float, default=15, help="after these, no further measurement begins (15)"
    )
    parser.add_argument("--results", type=Path, default=REPOSITORY / "benchmarks/results", help="folder")
    return parser


def _chosen(names: Sequence[str]) -> list[Optimization]:
    optimizations = {each.id: each for each in all_optimizations()}
    if unknown := [name for name in names if name not in optimizations]:
        sys.exit(f"{unknown[0]!r} is not an optimization. Choose from: {', '.join(optimizations)}.")
    return [each for id_, each in optimizations.items() if not names or id_ in names]


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()

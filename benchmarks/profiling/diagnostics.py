"""`python -m benchmarks.profiling.diagnostics`: the CPU time of a service's diagnostics.

Measures one service with each of these settings, in interleaved rounds: CPU per request under load, relative
to the service without diagnostics, and CPU without requests. `--before PROJECT` measures another project as
well.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

from fastforge_kit.service import Service
from fastforge_kit.workloads import CREATE, READ

from benchmarks.goals.cpu_per_request import filled
from benchmarks.load.closed_loop import Requests, sample
from benchmarks.load.servers import Contender, running
from benchmarks.reporting.markdown import table

OFF = ("EVENT_LOOP_BLOCKED_MS", "0")
SETTINGS = {
    "nothing": (OFF,),
    # The noise of a ratio.
    "nothing, again": (OFF,),
    "event loop, 200 ms": (("EVENT_LOOP_BLOCKED_MS", "200"),),
    "event loop, 20 ms": (("EVENT_LOOP_BLOCKED_MS", "20"),),
    "PROFILE_SECRET": (OFF, ("PROFILE_SECRET", "a secret that is never sent")),
    "SLOW_QUERY_MS": (OFF, ("SLOW_QUERY_MS", "1000")),
}
WORKLOADS = (READ, CREATE)

Ratios = dict[str, dict[str, list[float]]]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling.diagnostics", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of every workload (15)")
    parser.add_argument("--seconds", type=float, default=0.7, help="length of a round (0.7)")
    parser.add_argument("--connections", type=int, default=16, help="requests at once (16)")
    parser.add_argument("--idle-seconds", type=float, default=20.0, help="length of the idle time (20)")
    parser.add_argument("--before", type=Path, help="another project, measured as well")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers = {
            name: stack.enter_context(_running(name, chosen, folder)) for name, chosen in SETTINGS.items()
        }
        if options.before:
            shutil.copytree(options.before, folder / "before")
            servers["before"] = stack.enter_context(_running("before", (), folder))
        idle = _idle_cpu(servers, options.idle_seconds)
        ratios = _ratios(servers, options)
    print(_figures(ratios, idle))


@contextmanager
def _running(name: str, settings: tuple[tuple[str, str], ...], folder: Path) -> Iterator[Service]:
    # A separate database: writers of one file would wait for each other.
    urls = {"sqlite": f"sqlite:///{folder}/{uuid4().hex}.db", "redis": ""}
    with running(Contender(name, "sqlite", settings=settings), urls, folder) as server:
        yield server


def _idle_cpu(servers: Mapping[str, Service], seconds: float) -> dict[str, float]:
    """Return the microseconds of CPU that each server takes per second without requests."""
    # A start has no work left by then.
    time.sleep(2)
    before = {name: server.cpu_seconds() or 0.0 for name, server in servers.items()}
    time.sleep(seconds)
    after = {name: server.cpu_seconds() or 0.0 for name, server in servers.items()}
    return {name: 1e6 * (after[name] - before[name]) / seconds for name in servers}


def _ratios(servers: Mapping[str, Service], options: argparse.Namespace) -> Ratios:
    ratios: Ratios = {name: {workload: [] for workload in WORKLOADS} for name in servers}
    requests = {name: filled(server) for name, server in servers.items()}
    for number in range(-1, options.rounds):
        for workload in WORKLOADS:
            cpu = {
                name: _cpu_us(server, requests[name][workload], options)
                # In reverse every other time, so that slow drifts affect both ends alike.
                for name, server in list(servers.items())[:: 1 if number % 2 else -1]
            }
            # The first round warms up.
            for name in servers if number >= 0 else ():
                ratios[name][workload].append(cpu[name] / cpu["nothing"])
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    return ratios


def _cpu_us(server: Service, requests: Requests, options: argparse.Namespace) -> float:
    return sample(server, requests, options.seconds, options.connections).cpu_us


def _figures(ratios: Ratios, idle: Mapping[str, float]) -> str:
    head = ["setting", *(f"{workload}: ratio (middle half)" for workload in WORKLOADS), "idle: µs per second"]
    rows = [
        [name, *(_ratio(ratios[name][workload]) for workload in WORKLOADS), f"{idle[name]:.0f}"]
        for name in ratios
    ]
    return table(rows, head)


def _ratio(ratios: Sequence[float]) -> str:
    low, middle, high = quantiles(ratios, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()

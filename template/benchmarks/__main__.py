"""`python -m benchmarks`: how fast this service is on this machine, against its targets."""

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from http.client import HTTPException
from types import FrameType
from typing import NoReturn

from benchmarks.database import throwaway_database
from benchmarks.errors import CannotMeasure
from benchmarks.measurement import Load, Measurement, measure
from benchmarks.report import as_data, as_text
from benchmarks.service import available_port, running_service
from benchmarks.workloads import prepare

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print. Raises `SystemExit`: 1 where that failed, 2 for wrong arguments, 130 on Ctrl-C."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    load = Load(options.connections, max(1, (os.cpu_count() or 1) // 2), options.rounds, options.seconds)
    measured: dict[str, Measurement] = {}
    error, code = None, 0
    try:
        _measure(load, options, measured)
    except KeyboardInterrupt:
        error, code = "Interrupted.", INTERRUPTED
    except (CannotMeasure, OSError, HTTPException) as reason:
        error, code = str(reason) or type(reason).__name__, 1
    _print(list(measured.values()), error, load, options)
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seconds", type=_positive_number, default=1.0, help="length of a round (1)")
    parser.add_argument("--rounds", type=_positive_integer, default=3, help="rounds of every workload (3)")
    parser.add_argument("--connections", type=_positive_integer, default=32, help="requests at once (32)")
    parser.add_argument("--workers", type=_positive_integer, help="processes that serve (as in production)")
    parser.add_argument("--port", type=_port, help="where the service listens meanwhile (a free port)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


def _positive_number(text: str) -> float:
    number = float(text)
    if not 0 < number < 3_600:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 3,600")
    return number


def _positive_integer(text: str) -> int:
    return int(_positive_number(str(int(text))))


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: use 1 to 65535")
    return port


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _measure(load: Load, options: argparse.Namespace, measured: dict[str, Measurement]) -> None:
    workers = {"WORKERS": str(options.workers)} if options.workers else {}
    port = available_port(options.port)
    with throwaway_database() as url:
        _progress("Starting the service")
        with running_service({"DATABASE_URL": url, **workers}, port) as service:
            workloads = prepare(service)
            for measurement in measure(service, workloads, load):
                measured[measurement.workload.name] = measurement
                done = sum(len(each.samples) for each in measured.values())
                _progress(f"{done} of {len(workloads) * load.rounds}: {measurement.workload.name}")
            _progress("Stopping the service")


def _progress(text: str) -> None:
    # Rewrites its line at a terminal; nobody else wants to see it.
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _print(
    measurements: list[Measurement], error: str | None, load: Load, options: argparse.Namespace
) -> None:
    _progress("")
    if options.json:
        document = {"machine": _machine(), "load": load._asdict(), "workloads": as_data(measurements)}
        print(json.dumps(document if error is None else {**document, "error": error}, indent=2))
        return
    if measurements:
        print(f"{_machine()}; {load.connections} connections\n\n{as_text(measurements)}")
    if error is not None:
        print(error, file=sys.stderr)


def _machine() -> str:
    return f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


if __name__ == "__main__":
    main()

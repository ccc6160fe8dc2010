"""`python -m benchmarks.receipts [NAME ...]`: what each optimization of the template brings, measured.

For each record of the catalogue a project with its answers and the same project without it serve side by
side, as in production but with one worker. Rounds are interleaved and take turns at who begins; the figure is
the CPU time of a request without the optimization, with it = 1. Each record gets its `[measured]` table when
it is measured, so an interrupted run keeps what it has.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from types import FrameType
from typing import Any, NoReturn

from fastforge.questions import load_questions
from fastforge.tunings import ChangedHere, Tuning, load_tunings, without

from benchmarks.load import Requests, Sample, sample
from benchmarks.prompts import write_prompts
from benchmarks.rendering import REPOSITORY, render
from benchmarks.served import CannotServe, Served, requests_of, served
from tests.servers import Servers, ServerUnavailable, open_servers
from tests.servers.running import describe

CATALOGUE = REPOSITORY / "kit/optimizations"
# What pays less is flagged, to be taken out of the template.
WORTH_IT = 1.02
PAYS = "pays"
PAYS_LITTLE = "pays less than 2%"
UNDECIDED = "undecided"
TABLE_OF_MEASURED = re.compile(rb"\n*\n\[measured\]\n.*", re.DOTALL)

# SystemExit is how benchmarks.load says that an answer is an error.
FAILURES = (
    CannotServe,
    ServerUnavailable,
    subprocess.CalledProcessError,
    SystemExit,
    ChangedHere,
)

# A cache would hide what a database does. What a cache brings shows in front of a server.
ANSWERS_BESIDE = {
    "sqlite": {"cache": "none"},
    "postgres": {"cache": "none"},
    "mongodb": {"cache": "none"},
    "ttl": {"database": "postgres"},
    "redis": {"database": "postgres"},
    "any_cache": {"database": "postgres"},
    "nginx_compression": {"deployment": "nginx"},
}
PACKAGES = ["fastapi", "pydantic", "starlette", "uvicorn"]
PACKAGES_BESIDE = {
    "postgres": ["asyncpg"],
    "mongodb": ["pymongo"],
    "redis": ["redis"],
    "orjson": ["orjson"],
    "negotiated": ["starlette-compress"],
    "gunicorn": ["gunicorn", "uvicorn-worker"],
}


def main() -> None:
    """Measure and write. Raises `SystemExit`: 1 where a record could not be measured, 130 on Ctrl-C."""
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    chosen = _chosen(options.names)
    failed: list[str] = []
    code = 0
    try:
        _measure_all(chosen, options, failed)
    except KeyboardInterrupt:
        print("Interrupted; what was measured is kept.", file=sys.stderr)
        code = 130
    write_prompts(catalogue())
    _write_table(options.results / "receipts.md")
    for line in failed:
        print(line, file=sys.stderr)
    sys.exit(code or bool(failed))


def catalogue() -> list[Tuning]:
    """Return all tunings of the template."""
    return load_tunings(CATALOGUE)


def answers_of(tuning: Tuning) -> dict[str, str]:
    """Return the answers of the project in which a tuning is measured; the others are the defaults."""
    own = {
        question.name: tuning.applies_to
        for question in load_questions()
        if tuning.applies_to in question.choices
    }
    return own | ANSWERS_BESIDE.get(tuning.applies_to, {})


def verdict_of(low: float, high: float) -> str:
    """Return what the middle half of the ratios says."""
    if low <= WORTH_IT <= high:
        return UNDECIDED
    return PAYS if low > WORTH_IT else PAYS_LITTLE


def write_measured(record: Path, measured: dict[str, Any]) -> None:
    """Write the `[measured]` table at the end of the record, and change nothing else in it."""
    lines = [f"{name} = {_toml(value)}" for name, value in measured.items()]
    text = TABLE_OF_MEASURED.sub(b"", record.read_bytes()).rstrip(b"\n")
    record.write_bytes(text + "\n".join(["\n\n[measured]", *lines, ""]).encode())


def table(tunings: Sequence[Tuning]) -> str:
    """Return the figures of all records, what brings most first."""
    head = ["optimization", "answers", "workload", "CPU without it", "middle half", "verdict", "measured"]
    rows = [_row(each) for each in sorted(tunings, key=_rank)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.receipts", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="records, by their file's name (all)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds with and without each (7)")
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a round (0.3)")
    parser.add_argument("--connections", type=int, default=16, help="requests at once (16)")
    parser.add_argument("--minutes", type=float, default=10, help="after which no other record is begun (10)")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "benchmarks/results", help="folder")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _chosen(names: Sequence[str]) -> list[Tuning]:
    tunings = {each.id: each for each in catalogue()}
    if unknown := [name for name in names if name not in tunings]:
        sys.exit(f"{unknown[0]!r} is no record. There are: {', '.join(tunings)}.")
    return [each for id_, each in tunings.items() if not names or id_ in names]


def _measure_all(chosen: Sequence[Tuning], options: argparse.Namespace, failed: list[str]) -> None:
    deadline = time.monotonic() + 60 * options.minutes
    with ExitStack() as stack:
        servers = stack.enter_context(open_servers(_kinds(chosen)))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for number, tuning in enumerate(chosen, 1):
            if time.monotonic() > deadline:
                failed.append(f"{tuning.id}: not measured, the {options.minutes:g} minutes are over.")
                continue
            try:
                rounds = _rounds(tuning, servers, folder, options)
            except FAILURES as why:
                failed.append(f"{tuning.id}: {why}")
                continue
            measured = _measured(tuning, rounds)
            write_measured(CATALOGUE / tuning.applies_to / f"{tuning.id}.toml", measured)
            _write_rounds(options.results / "receipts.json", tuning, rounds, describe(servers))
            shown = f"{measured['verdict']} ({measured['low']:g} to {measured['high']:g})"
            print(f"{number} of {len(chosen)}: {tuning.id}: {shown}", file=sys.stderr, flush=True)


def _kinds(chosen: Sequence[Tuning]) -> set[str]:
    answers = {value for tuning in chosen for value in answers_of(tuning).values()}
    return answers & {"postgres", "mongodb", "redis", "nginx"}


def _rounds(
    tuning: Tuning,
    servers: Servers,
    folder: Path,
    options: argparse.Namespace,
) -> list[tuple[Sample, Sample]]:
    """Return what each round showed with the tuning, and without."""
    answers = answers_of(tuning)
    project = render(folder, "-".join(["project", *answers.values()]), answers)
    with ExitStack() as stack:
        copy = stack.enter_context(without(tuning, project))
        sides = [
            _asked(stack.enter_context(served(where, answers, servers, tuning.environment)), tuning)
            for where in (project, copy)
        ]
        rounds = []
        for number in range(-1, options.rounds):
            order = (0, 1) if number % 2 else (1, 0)
            shown = {side: sample(*sides[side], options.seconds, options.connections) for side in order}
            # The first round warms up.
            rounds += [(shown[0], shown[1])] if number >= 0 else []
        return rounds


def _asked(server: Served, tuning: Tuning) -> tuple[Served, Requests]:
    texts, status = requests_of(tuning.workload, server)
    asked = tuning.asked([text.encode() for text in texts])
    return server, Requests([text.decode() for text in asked], status)


def _measured(tuning: Tuning, rounds: Sequence[tuple[Sample, Sample]]) -> dict[str, Any]:
    ratios = [off.cpu_us / on.cpu_us for on, off in rounds]
    low, middle, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    packages = sorted([*PACKAGES, *PACKAGES_BESIDE.get(tuning.applies_to, [])])
    return {
        "ratio": round(middle, 3),
        "low": round(low, 3),
        "high": round(high, 3),
        "verdict": verdict_of(low, high),
        "cpu_us": round(median(on.cpu_us for on, _ in rounds), 1),
        "cpu_us_without": round(median(off.cpu_us for _, off in rounds), 1),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "versions": {name: version(name) for name in packages},
    }


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + " }"
    return json.dumps(value)


def _write_rounds(
    file: Path,
    tuning: Tuning,
    rounds: Sequence[tuple[Sample, Sample]],
    servers: str,
) -> None:
    earlier = json.loads(file.read_text()) if file.exists() else {}
    # What has left the catalogue leaves the results.
    document = {each.id: earlier[each.id] for each in catalogue() if each.id in earlier}
    document[tuning.id] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "answers": answers_of(tuning),
        "servers": servers.splitlines(),
        "rounds": [
            {"cpu_us": round(on.cpu_us, 1), "cpu_us_without": round(off.cpu_us, 1)} for on, off in rounds
        ],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dict(sorted(document.items())), indent=2) + "\n")


def _write_table(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(_document(catalogue())))


def _document(tunings: Sequence[Tuning]) -> Iterator[str]:
    yield "What each optimization brings: the CPU time of a request without it, with it = 1.\n"
    yield table(tunings)
    little = [each.id for each in tunings if each.measured and each.measured.verdict == PAYS_LITTLE]
    if little:
        yield f"\nThese pay less than 2% of what was measured: {', '.join(little)}."
    yield ""


def _rank(tuning: Tuning) -> tuple[bool, bool, float]:
    measured = tuning.measured
    if measured is None:
        return True, True, 0.0
    return False, measured.verdict == UNDECIDED, -measured.ratio


def _row(tuning: Tuning) -> list[str]:
    measured = tuning.measured
    name = f"`{tuning.id}`: {tuning.title}"
    if measured is None:
        return [name, tuning.applies_to, tuning.workload, "", "", "not measured", ""]
    # What the noise does not decide gets no number.
    ratio = "" if measured.verdict == UNDECIDED else f"{measured.ratio:g}"
    bounds = f"{measured.low:g} to {measured.high:g}"
    return [name, tuning.applies_to, tuning.workload, ratio, bounds, measured.verdict, measured.date]


if __name__ == "__main__":
    main()

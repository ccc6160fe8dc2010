"""`python -m benchmarks.profile`: where the service spends its time under load, as a flame graph and a table.

py-spy samples it from outside, so that it runs as ever.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks import PROJECT
from benchmarks.command import finish, positive_integer
from benchmarks.errors import CannotMeasure
from benchmarks.flame_graph import own_samples
from benchmarks.measurement import Load, measure
from benchmarks.processes import end, end_tree
from benchmarks.sampler import PY_SPY
from benchmarks.service import STOP_SECONDS, Service, available_port
from benchmarks.workloads import WORKLOADS
from tests.database import throwaway_database

CONNECTIONS = 16
FUNCTIONS = 40
# What py-spy takes to draw.
DRAWING_SECONDS = 60


class _Sampler(NamedTuple):
    """The service, and the process that samples it once it is told to."""

    service: Service
    process: "subprocess.Popen[bytes]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Sample and write. Raises `SystemExit` as `finish` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--seconds", type=positive_integer, default=12, help="how long (12)")
    parser.add_argument(
        "--output", type=Path, default=PROJECT / "var/profile.svg", help="the flame graph; the table is .txt"
    )
    options = parser.parse_args(arguments)
    finish(lambda: _profile(options.seconds, options.output))


def _profile(seconds: int, svg: Path) -> int:
    if not PY_SPY.exists():
        raise CannotMeasure(
            "py-spy is not installed. `make profile` installs it, from requirements-load.txt."
        )
    svg.parent.mkdir(parents=True, exist_ok=True)
    svg.unlink(missing_ok=True)
    with throwaway_database() as url, _sampler(url, seconds, svg.resolve()) as sampler:
        _sample_under_load(sampler, seconds)
    if not svg.exists():
        raise CannotMeasure("py-spy has written nothing. It has to be allowed to read the service's memory.")
    table = _table(svg)
    svg.with_suffix(".txt").write_text(table)
    print(f"{table}\nThe flame graph is in {svg}, this table in {svg.with_suffix('.txt')}.")
    return 0


@contextmanager
def _sampler(url: str, seconds: int, svg: Path) -> Iterator[_Sampler]:
    port = available_port(None)
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sampler", str(port), str(seconds), str(svg)],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        pid = b""
        try:
            assert process.stdout is not None
            pid = process.stdout.readline()
            if not pid:
                raise CannotMeasure(process.communicate()[1].decode().strip())
            yield _Sampler(Service(int(pid), port), process)
        finally:
            end(process, STOP_SECONDS)
            # Orphaned by the end of py-spy, whose child it was.
            if pid:
                end_tree(int(pid), STOP_SECONDS)


def _sample_under_load(sampler: _Sampler, seconds: int) -> None:
    assert sampler.process.stdin is not None
    sampler.process.stdin.write(b"Begin.\n")
    sampler.process.stdin.flush()
    for _ in measure(sampler.service, WORKLOADS, Load(CONNECTIONS, 1, 1, seconds / len(WORKLOADS))):
        pass
    try:
        _, reason = sampler.process.communicate(timeout=DRAWING_SECONDS)
    except subprocess.TimeoutExpired:
        raise CannotMeasure("py-spy did not end in time.") from None
    if sampler.process.returncode != 0:
        raise CannotMeasure(f"py-spy failed: {reason.decode().strip()}")


def _table(svg: Path) -> str:
    own = own_samples(svg)
    lines = [
        f"{samples / own.total():7.1%}  {function}"
        for function, samples in own.most_common(FUNCTIONS)
        if samples
    ]
    return "\n".join([f"{own.total()} samples; each function's own share", *lines, ""])


if __name__ == "__main__":
    main()

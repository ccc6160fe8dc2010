"""`python -m fastforge_kit.profile`: the time of the service's functions under load, as a flame graph and a table.

py-spy samples the service from outside, so that it runs as usual.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastforge_kit.ending import finish
from fastforge_kit.errors import CannotMeasure
from fastforge_kit.flame_graph import own_samples
from fastforge_kit.measurement import Load, measure
from fastforge_kit.openapi import chosen_resource, resources_of
from fastforge_kit.options import add_resource, between
from fastforge_kit.processes import end, end_tree
from fastforge_kit.project import ENVIRONMENT, PROJECT, throwaway_database
from fastforge_kit.service import STOP_SECONDS, Service, available_port
from fastforge_kit.workloads import workloads_of

CONNECTIONS = 16
FUNCTIONS = 40
# The time that py-spy has to draw.
DRAWING_SECONDS = 60


class _Sampler(NamedTuple):
    """The service, and the process that samples it when it gets a line."""

    service: Service
    process: "subprocess.Popen[bytes]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Sample and write. Raises `SystemExit` as `finish` does."""
    parser = argparse.ArgumentParser(prog="fastforge profile", description=__doc__)
    parser.add_argument("--seconds", type=between(1, 3_600), default=12, help="duration (12)")
    parser.add_argument(
        "--output", type=Path, default=PROJECT / "var/profile.svg", help="the flame graph; the table is .txt"
    )
    parser.add_argument("--py-spy", type=Path, required=True, help="the sampler's path")
    add_resource(parser)
    options = parser.parse_args(arguments)
    finish(
        lambda: _profile(
            options.py_spy, options.seconds, options.output, (options.resource, options.default_resource)
        )
    )


def _profile(py_spy: Path, seconds: int, svg: Path, names: tuple[str | None, str | None]) -> int:
    svg.parent.mkdir(parents=True, exist_ok=True)
    svg.unlink(missing_ok=True)
    with throwaway_database() as url, _sampler(py_spy, url, seconds, svg.resolve()) as sampler:
        _sample_under_load(sampler, seconds, names)
    if not svg.exists():
        raise CannotMeasure("py-spy wrote nothing.", "Allow it to read the service's memory.")
    table = _table(svg)
    svg.with_suffix(".txt").write_text(table)
    print(f"{table}\nThe flame graph is in {svg}, this table in {svg.with_suffix('.txt')}.")
    return 0


@contextmanager
def _sampler(py_spy: Path, url: str, seconds: int, svg: Path) -> Iterator[_Sampler]:
    port = available_port(None)
    with subprocess.Popen(
        [sys.executable, "-m", "fastforge_kit.sampler", str(py_spy), str(port), str(seconds), str(svg)],
        cwd=PROJECT,
        env={**ENVIRONMENT, "DATABASE_URL": url},
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
                raise CannotMeasure(process.communicate()[1].decode().strip(), "See: python -m app")
            yield _Sampler(Service(int(pid), port), process)
        finally:
            end(process, STOP_SECONDS)
            # Orphaned by the end of py-spy, whose child it was.
            if pid:
                end_tree(int(pid), STOP_SECONDS)


def _sample_under_load(sampler: _Sampler, seconds: int, names: tuple[str | None, str | None]) -> None:
    resources = resources_of(sampler.service)
    resource = chosen_resource(resources, *names)
    workloads = workloads_of(resource)
    assert sampler.process.stdin is not None
    sampler.process.stdin.write(b"Begin.\n")
    sampler.process.stdin.flush()
    load = Load(CONNECTIONS, 1, 1, seconds / len(workloads))
    for _ in measure(sampler.service, workloads, resources, resource, load):
        pass
    try:
        _, reason = sampler.process.communicate(timeout=DRAWING_SECONDS)
    except subprocess.TimeoutExpired:
        raise CannotMeasure("py-spy did not end in time.", "Choose fewer --seconds.") from None
    if sampler.process.returncode != 0:
        raise CannotMeasure(f"py-spy failed: {reason.decode().strip()}", "Allow it to read other processes.")


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

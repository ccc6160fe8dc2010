"""Load generators in separate processes, so that their CPU time does not count as the service's."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.generator import Job, Outcome

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

KIT = Path(__file__).parents[1]


def generate(jobs: Sequence[Job]) -> list[Outcome]:
    """Run the jobs at the same time, and return their outcomes. Raises `CannotMeasure`."""
    return [Outcome(**each) for each in run_generators("fastforge_kit.generator", jobs)]


def run_generators(module: str, jobs: "Sequence[DataclassInstance]") -> list[dict[str, Any]]:
    """Run the module once per job, and return the outcomes that it prints. Raises `CannotMeasure`."""
    with ExitStack() as stack:
        generators = [stack.enter_context(_running_generator(module, job)) for job in jobs]
        return [_outcome(generator) for generator in generators]


@contextmanager
def _running_generator(module: str, job: "DataclassInstance") -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as described:
        described.write(json.dumps(asdict(job)).encode())
        described.seek(0)
        paths = [str(KIT), *filter(None, [os.environ.get("PYTHONPATH")])]
        generator = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=described,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    with generator:
        try:
            yield generator
        finally:
            generator.kill()


def _outcome(generator: subprocess.Popen[bytes]) -> dict[str, Any]:
    output, errors = generator.communicate()
    if generator.returncode != 0:
        last_words = errors.decode(errors="replace").strip().splitlines() or ["it was killed."]
        raise CannotMeasure(f"The load generator failed: {last_words[-1]}", "Run the command again.")
    outcome: dict[str, Any] = json.loads(output)
    return outcome

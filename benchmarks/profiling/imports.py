"""The time of a start's imports by distribution, for the service and for plain FastAPI on the same driver.

`-X importtime` gives each import's own time, without the imports in it. It uses the wall clock and takes time
itself, so it only gives the shares of the CPU time that the same imports take without it.
"""

import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path
from statistics import median

from benchmarks.goals.catalogue import POSTGRES, TUTORIAL
from benchmarks.goals.session import Session
from benchmarks.load.rendering import REPOSITORY, render
from benchmarks.load.servers import database_urls
from benchmarks.profiling.stacks import scaled

STARTS = 5
OWN = "the service's own modules"
STANDARD_LIBRARY = "the standard library"
BUILDING = "building the application"
# As Uvicorn does it, whose import counts, too. Prints the CPU milliseconds after the imports, and at the end.
LOADING = """\
from time import process_time
from uvicorn.config import Config
from uvicorn.importer import import_from_string
config = Config("{application}", factory={is_factory}, loop="uvloop", http="httptools", log_level="error")
import_from_string("{application}")
config.get_loop_factory()
imported = process_time()
config.load()
print(1_000 * imported, 1_000 * process_time())
"""
# As app.forge.server.worker does it, whose factory would mix the imports with the building.
AS_A_WORKER = "import gc; gc.disable()\n"
IMPORTED = re.compile(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", re.MULTILINE)

Milliseconds = dict[str, float]


def measured(session: Session) -> tuple[Milliseconds, Milliseconds]:
    """Return the milliseconds by distribution: of the service, and of plain FastAPI."""
    urls = database_urls(session.servers, session.folder, {"postgres"})
    variables = {"DATABASE_URL": urls["postgres"], "LOG_LEVEL": "ERROR"}
    project = render(session.folder, POSTGRES.name, dict(POSTGRES.answers))
    service = AS_A_WORKER + LOADING.format(application="app.main:create_app", is_factory=True)
    plain = LOADING.format(application=f"benchmarks.baselines.{TUTORIAL.baseline}:app", is_factory=False)
    starts: tuple[list[Milliseconds], list[Milliseconds]] = ([], [])
    for _ in range(STARTS + 1):
        starts[0].append(_start(service, project, variables))
        starts[1].append(_start(plain, REPOSITORY, variables))
    # The first start compiles.
    return medians(starts[0][1:]), medians(starts[1][1:])


def _start(code: str, folder: Path, variables: Mapping[str, str]) -> Milliseconds:
    imported_ms, built_ms = map(float, _run(["-c", code], folder, variables).stdout.split())
    shown = _run(["-X", "importtime", "-c", code], folder, variables).stderr
    shares = by_distribution(shown, packages_distributions())
    return {**scaled(shares, imported_ms), BUILDING: built_ms - imported_ms}


def _run(
    options: list[str], folder: Path, variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **variables}
    command = [sys.executable, *options]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True, text=True)


def by_distribution(text: str, distributions: Mapping[str, Sequence[str]]) -> Milliseconds:
    """Return the milliseconds in the output of `-X importtime`, by distribution."""
    spent: defaultdict[str, float] = defaultdict(float)
    for own_us, module in IMPORTED.findall(text):
        spent[_owner(module, distributions)] += int(own_us) / 1_000
    return dict(spent)


def _owner(module: str, distributions: Mapping[str, Sequence[str]]) -> str:
    package = module.partition(".")[0]
    if package in {"app", "benchmarks"}:
        return OWN
    if package in sys.stdlib_module_names:
        return STANDARD_LIBRARY
    return distributions.get(package, [package])[0]


def medians(starts: Sequence[Milliseconds]) -> Milliseconds:
    """Return the median of the starts for each distribution."""
    return {name: median(start.get(name, 0.0) for start in starts) for name in starts[0]}

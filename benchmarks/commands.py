"""CPU time of FastForge's commands against plain `copier copy`.

Every command is a process of its own with all that it starts (git), and a folder of its own. Rounds are
interleaved.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from statistics import median

from benchmarks.processes import seconds_of
from benchmarks.rendering import REPOSITORY, copy_source
from benchmarks.session import Session
from benchmarks.verdicts import Bound, Row, row_of

COPIER = [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet"]
FASTFORGE = [sys.executable, "-m", "fastforge"]
PLAIN = "copier copy"
GOALS = {
    "`fastforge --help`, of `copier copy`": Bound(0.25),
    "`fastforge new --defaults --no-git`, of `copier copy`": Bound(0.6),
}


def rows(session: Session) -> Iterator[Row]:
    """Yield a row per command."""
    if not session.wants(*GOALS):
        return
    seconds = _measured(session)
    for title, bound in GOALS.items():
        ratios = [own / plain for own, plain in zip(seconds[title], seconds[PLAIN], strict=True)]
        cpu = {"cpu_seconds": seconds[title], "limit_cpu_seconds": seconds[PLAIN]}
        yield row_of(
            title, bound, ratios, details={name: round(median(each), 2) for name, each in cpu.items()}
        )


def _measured(session: Session) -> dict[str, list[float]]:
    # A plain folder, so that Copier has nothing to clone: the strictest thing to be compared with.
    source = copy_source(session.folder)
    help_, new = GOALS
    commands = {
        PLAIN: [*COPIER, str(source), "PROJECT"],
        help_: [*FASTFORGE, "--help"],
        new: [*FASTFORGE, "new", "PROJECT", "--defaults", "--no-git"],
    }
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "generator")}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(-1, session.rounds):
        for index, (name, command) in enumerate(commands.items()):
            project = session.folder / f"orders-{number}-{index}"
            spent, _ = seconds_of(
                [str(project) if part == "PROJECT" else part for part in command], environment
            )
            shutil.rmtree(project, ignore_errors=True)
            # The first round fills the caches.
            seconds[name] += [spent] if number >= 0 else []
        session.progress(f"commands: round {number + 1} of {session.rounds}")
    return seconds

"""CPU time of FastForge's commands, compared with plain `copier copy`.

The time of a command includes that of the processes it starts, such as git. Rounds are interleaved.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from statistics import median

from fastforge_kit.verdicts import AtMost

from benchmarks.goals.rows import Row, row_of
from benchmarks.goals.session import Session
from benchmarks.load.command_cost import seconds_of
from benchmarks.load.rendering import REPOSITORY, copy_source

COPIER = [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet"]
FASTFORGE = [sys.executable, "-m", "fastforge"]
PLAIN = "copier copy"
GOALS = {
    "`fastforge --help`": AtMost(0.25),
    "`fastforge new --defaults --no-git`": AtMost(0.6),
}


def rows(session: Session) -> Iterator[Row]:
    """Yield a row for each command."""
    if not session.wants(*GOALS):
        return
    seconds = _measured(session)
    for title, bound in GOALS.items():
        ratios = [own / plain for own, plain in zip(seconds[title], seconds[PLAIN], strict=True)]
        cpu = {"cpu_seconds": seconds[title], "baseline_cpu_seconds": seconds[PLAIN]}
        details = {name: round(median(each), 2) for name, each in cpu.items()}
        yield row_of(title, f"`{PLAIN}`", bound, ratios, details=details)


def _measured(session: Session) -> dict[str, list[float]]:
    # A plain folder, so that Copier has nothing to clone: the strictest comparison.
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

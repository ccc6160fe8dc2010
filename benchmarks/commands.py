"""`python -m benchmarks.commands`: CPU time of FastForge's commands against plain `copier copy`.

Every command is a process of its own with all that it starts (git), and a folder of its own. Rounds are
interleaved.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

from benchmarks.rendering import REPOSITORY, copy_source
from benchmarks.verdicts import verdict

COPIER = [sys.executable, "-m", "copier", "copy", "--defaults", "--quiet"]
FASTFORGE = [sys.executable, "-m", "fastforge"]
GOALS = {"fastforge --help": 0.25, "fastforge new": 0.6}


def main() -> None:
    """Measure, and print a table, or one JSON document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commands", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of every command (7)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = _measured(Path(folder), options.rounds)
    results = [_result(name, seconds) for name in GOALS]
    print(json.dumps(results, indent=2) if options.json else _table(results))


def _measured(folder: Path, rounds: int) -> dict[str, list[float]]:
    # A plain folder, so that Copier has nothing to clone: the strictest thing to be compared with.
    source = copy_source(folder)
    commands = {
        "copier copy": [*COPIER, str(source), "PROJECT"],
        "fastforge --help": [*FASTFORGE, "--help"],
        "fastforge new": [*FASTFORGE, "new", "PROJECT", "--defaults", "--no-git"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(-1, rounds):
        for name, command in commands.items():
            project = folder / f"orders-{number}-{len(seconds[name])}-{name.replace(' ', '-')}"
            spent = _cpu_seconds([str(project) if part == "PROJECT" else part for part in command])
            shutil.rmtree(project, ignore_errors=True)
            # The first round fills the caches.
            if number >= 0:
                seconds[name].append(spent)
    return seconds


def _cpu_seconds(command: Sequence[str]) -> float:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "generator")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    reason = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"`{' '.join(command)}` failed: {reason.decode().strip()}")
    return usage.ru_utime + usage.ru_stime


def _result(name: str, seconds: dict[str, list[float]]) -> dict[str, object]:
    ratios = [own / plain for own, plain in zip(seconds[name], seconds["copier copy"], strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return {
        "command": name,
        "goal": f"≤ {GOALS[name]:g}",
        "ratio": round(middle, 3),
        "middle_half": f"{low:.3f} to {high:.3f}",
        "verdict": verdict(GOALS[name], low, high),
    }


def _table(results: Sequence[dict[str, object]]) -> str:
    head = ["command", "goal", "of copier copy", "middle half", "verdict"]
    rows = [[str(value) for value in result.values()] for result in results]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    main()

"""`python -m benchmarks.comparisons.updates`: one update compared with `copier update`, and 100 at once.

Both commands update copies of one project with one edit; their time includes that of the processes they
start, such as git. Rounds are interleaved. FastForge is installed from a wheel that carries its history;
Copier has the repository on the same disk.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from fastforge_kit.verdicts import AtMost

from benchmarks.load.command_cost import seconds_of
from benchmarks.reporting.markdown import table
from testkit.checkout import GIT_IDENTITY, commit_all, copy_checkout, git, pip_install

GOAL = AtMost(1.0)
COMMANDS = {
    "fastforge update": [sys.executable, "-m", "fastforge", "update"],
    "copier update": [sys.executable, "-m", "copier", "update", "--defaults", "--quiet"],
}
# Of each hundred projects; the others are updated without problems.
KINDS = {"current": 10, "conflict": 10, "failed tests": 10}
RECIPES = {"failed tests": "false"}
# An owner also changes one of them at its end.
CHANGED = ("app/forge/http/middleware.py", "app/forge/http/health.py", "Dockerfile.jinja", "Makefile.jinja")


def main() -> None:
    """Measure, print two tables, and write them with the figures into the folder of `--results`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.comparisons.updates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of both commands (7)")
    parser.add_argument("--projects", type=int, default=100, help="projects to update at once (100)")
    parser.add_argument("--results", type=Path, help="a folder for updates.json and updates.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        old, new = _projects(folder)
        environment = _environment(folder)
        samples = _compared(folder, old, options.rounds, environment)
        many = _many(folder, old, new, options.projects, environment)
    machine = f"{platform.system()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    when = datetime.now(UTC).isoformat(timespec="seconds")
    results = {"machine": machine, "date": when, "update": _comparison(samples), "many": many}
    print(text := _markdown(results))
    if options.results:
        (options.results / "updates.json").write_text(json.dumps(results, indent=2) + "\n")
        (options.results / "updates.md").write_text(text)


def _projects(folder: Path) -> tuple[Path, Path]:
    """Return a project of each of two releases; the first has one edit."""
    clone = copy_checkout(folder / "clone")
    commit_all(clone, "v1.0.0")
    _release(clone, "v1.1.0")
    made = []
    for version in ("v1.0.0", "v1.1.0"):
        project = folder / version / "orders"
        copy = ["copy", "--defaults", "--quiet", f"--vcs-ref={version}", f"git+{clone.as_uri()}"]
        subprocess.run([sys.executable, "-m", "copier", *copy, project], check=True)
        (project / "GNUmakefile").write_text("test:\n\t@python3 -m compileall -q app\n")
        commit_all(project, "new")
        made.append(project)
    _edit(made[0] / "app/items/routes.py", "BATCH_MAX = 1_000", "BATCH_MAX = 2_000")
    git(made[0], "commit", "--quiet", "--all", "-m", "Ours")
    return made[0], made[1]


def _release(clone: Path, tag: str) -> None:
    """Change files of the template at their ends, and commit them as a release."""
    for name in CHANGED:
        with (clone / "template" / name).open("a") as file:
            file.write(f"\n# Changed in {tag}.\n")
    git(clone, "commit", "--quiet", "--all", "-m", tag)
    git(clone, "tag", tag)


def _edit(file: Path, old: str, new: str) -> None:
    """Replace a text, which must occur."""
    text = file.read_text()
    assert old in text, f"{file.name} no longer has {old!r}."
    file.write_text(text.replace(old, new, 1))


def _environment(folder: Path) -> Mapping[str, str]:
    home = folder / "home"
    home.mkdir()
    installed = pip_install(folder / "clone", folder / "site")
    variables = {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", **GIT_IDENTITY}
    return {**os.environ, **installed, **variables, "COPIER_SETTINGS_PATH": str(home / "none.yml")}


def _compared(
    folder: Path, project: Path, rounds: int, environment: Mapping[str, str]
) -> dict[str, list[tuple[float, float]]]:
    """Return CPU and clock seconds of each command in each round."""
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for number in range(-1, rounds):
        for name, command in COMMANDS.items():
            copy = Path(shutil.copytree(project, folder / f"round-{number}" / name / "orders"))
            spent = seconds_of(command, environment, copy)
            assert "v1.1.0" in (copy / ".copier-answers.yml").read_text()
            assert "BATCH_MAX = 2_000" in (copy / "app/items/routes.py").read_text()
            # The first round fills the caches.
            samples[name] += [spent] if number >= 0 else []
        shutil.rmtree(folder / f"round-{number}")
    return samples


def _comparison(samples: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Any]:
    cpu = {name: [each[0] for each in taken] for name, taken in samples.items()}
    ratios = [own / plain for own, plain in zip(cpu["fastforge update"], cpu["copier update"], strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return {
        "rounds": len(ratios),
        "goal": str(GOAL),
        "ratio": round(middle, 3),
        "middle_half": f"{low:.3f} to {high:.3f}",
        "verdict": GOAL.verdict(low, high),
        "cpu_seconds": {name: round(median(values), 2) for name, values in cpu.items()},
        "clock_seconds": {
            name: round(median(each[1] for each in taken), 2) for name, taken in samples.items()
        },
    }


def _many(folder: Path, old: Path, new: Path, count: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the outcomes of this many projects, and the time of the command."""
    expected = _fleet(folder / "fleet", old, new, count)
    command = [*COMMANDS["fastforge update"], "--all", "--json", str(folder / "fleet")]
    started_at, used = time.monotonic(), os.times()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    clock, now = time.monotonic() - started_at, os.times()
    document = json.loads(done.stdout)
    projects = [{**each, "path": Path(each["path"]).name} for each in document["projects"]]
    assert {each["path"]: each["result"] for each in projects} == expected
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return {
        "counts": document["counts"],
        "clock_seconds": round(clock, 1),
        "cpu_seconds": round(cpu, 1),
        "projects": projects,
    }


def _fleet(fleet: Path, old: Path, new: Path, count: int) -> dict[str, str]:
    """Create the projects, and return the expected outcome of each."""
    kinds = [kind for kind, share in KINDS.items() for _ in range(share * count // 100)]
    kinds += ["updated"] * (count - len(kinds))
    expected = {}
    for number, kind in enumerate(kinds, 1):
        project = Path(shutil.copytree(new if kind == "current" else old, fleet / f"service-{number:03}"))
        _edit(project / "app/items/models.py", '"""', f'"""Service {number}. ')
        if kind == "conflict":
            with (project / "app/forge/http/middleware.py").open("a") as file:
                file.write("\n\n# Ours.\n")
        if kind in RECIPES:
            (project / "GNUmakefile").write_text(f"test:\n\t@{RECIPES[kind]}\n")
        git(project, "commit", "--quiet", "--all", "-m", "Ours")
        expected[project.name] = kind
    return expected


def _markdown(results: Mapping[str, Any]) -> str:
    one, many = results["update"], results["many"]
    seconds = [
        [f"`{name}`", str(one["cpu_seconds"][name]), str(one["clock_seconds"][name])] for name in COMMANDS
    ]
    projects = [[each["path"], each["result"], each["detail"]] for each in many["projects"]]
    counts = ", ".join(f"{count} {result}" for result, count in many["counts"].items())
    of_one = (
        f"One project, {one['rounds']} interleaved rounds, medians: {one['ratio']}× the CPU time of "
        f"`copier update` (middle half {one['middle_half']}); goal {one['goal']}: {one['verdict']}."
    )
    of_many = (
        f"`fastforge update --all` on {len(many['projects'])} projects, each with its own edit and with "
        f"`python3 -m compileall app` as its tests: {counts}; {many['clock_seconds']} s of wall-clock time, "
        f"{many['cpu_seconds']} s of CPU time."
    )
    title = f"{results['machine']}, {results['date']}"
    return (
        "\n\n".join(
            [
                title,
                of_one,
                table(seconds, ["Command", "CPU, s", "Wall clock, s"]),
                of_many,
                table(projects, ["Project", "Result", "Detail"]),
            ]
        )
        + "\n"
    )


if __name__ == "__main__":
    main()

"""Build a release, and check it: `make dist VERSION=1.2.3`. Nothing is tagged or published.

The wheel and the sdist are built from a clone in which the commit has the version's tag. Each is installed
into its own environment, and generates a project without a network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import uv
from fastforge.template.history import History, release_number
from fastforge.template.questions import load_questions
from fastforge.template.releases import RECORDS, Release, read_release

ROOT = Path(__file__).parents[1]
# The environment's Python, which also has the tools that check a project.
BIN = Path(sys.executable).parent
KINDS = ("wheel", "sdist")
# A proxy where nothing listens, if the system cannot run a program without a network.
NO_PROXY = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https", "all")}


class CheckFailed(Exception):
    """A distribution does not do what it should; the message has the reason."""


def main() -> None:
    """Build the release that the command line names, or exit with the reasons why not."""
    version = sys.argv[1] if len(sys.argv) > 1 else ""
    problems = release_problems(ROOT, version)
    if problems:
        sys.exit("\n".join([f"Not ready for {version!r}:", *(f"  {problem}" for problem in problems)]))
    try:
        built = build_release(ROOT, version, ROOT / "dist")
    except (CheckFailed, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}\n{getattr(error, 'stderr', None) or ''}")
    for file in built:
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(ROOT)}")
    print(
        "Each was installed, and generated a project without a network. To publish the release:\n"
        f"  git tag --annotate v{version} --message 'FastForge {version}' && git push origin v{version}\n"
        f"  uv publish {' '.join(str(file.relative_to(ROOT)) for file in built)}"
    )


def build_release(root: Path, version: str, target: Path) -> list[Path]:
    """Build wheel and sdist of the committed files into the directory, check both, and return them.

    Raises:
        CheckFailed: They have another version, or generate different projects.
        CalledProcessError: A command fails.
    """
    with tempfile.TemporaryDirectory(prefix="fastforge-release-") as scratch:
        clone = Path(scratch) / "clone"
        _git(root, "clone", "--quiet", "--no-local", str(root), str(clone))
        # Annotated, so that git prefers it to another tag of the same commit.
        identity = ("-c", "user.name=FastForge", "-c", "user.email=fastforge@localhost")
        _git(clone, *identity, "tag", "--annotate", "--message", version, f"v{version}")
        built = [_build(clone, kind, Path(scratch) / kind) for kind in KINDS]
        projects = [_checked_project(file, version, file.parent / "checked") for file in built]
        one, other = map(_contents, projects)
        if different := sorted(
            name for name in one.keys() | other.keys() if one.get(name) != other.get(name)
        ):
            raise CheckFailed(f"The wheel and the sdist generate different files: {', '.join(different)}")
        target.mkdir(exist_ok=True)
        return [Path(shutil.copy(file, target)) for file in built]


def _install(file: Path, environment: Path) -> None:
    """Install the distribution into a new environment, with the tested versions of its dependencies."""
    uv_command = uv.find_uv_bin()
    _run([uv_command, "venv", "--quiet", "--python", sys.executable, str(environment)])
    python = str(environment / "bin/python")
    constraints = str(ROOT / "requirements/fastforge.txt")
    _run([uv_command, "pip", "install", "--quiet", "--python", python, "-c", constraints, str(file)])


def _build(clone: Path, kind: str, target: Path) -> Path:
    build = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(target)]
    _run([*build, str(clone)])
    (file,) = target.iterdir()
    return file


def _checked_project(file: Path, version: str, directory: Path) -> Path:
    """Return a project that the installed distribution generated without a network."""
    _install(file, directory / "environment")
    fastforge = str(directory / "environment/bin/fastforge")
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory / "data"), "GIT_CONFIG_NOSYSTEM": "1"}
    project = directory / "projects/orders"
    project.parent.mkdir()
    expected = f"fastforge {version} (template v{version})\n"
    if (printed := _run_offline([fastforge, "--version"], home)) != expected:
        raise CheckFailed(f"{file.name}: fastforge --version printed {printed!r} instead of {expected!r}.")
    _run_offline([fastforge, "new", str(project), "--defaults"], home)
    # It exits with 3 if the project is not that of the newest release.
    _run_offline([fastforge, "check", str(project)], home)
    for check in (("check",), ("format", "--check")):
        _run([str(BIN / "ruff"), *check, "--quiet", "--no-cache", str(project)])
    return project


def _run_offline(command: list[str], variables: Mapping[str, str]) -> str:
    unshare = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*unshare, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        unshare = []
    return _run([*unshare, *command], NO_PROXY | dict(variables))


def _run(command: list[str], variables: Mapping[str, str] | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, env=environment | dict(variables or {}), check=True, capture_output=True, text=True
    ).stdout


def _contents(project: Path) -> dict[str, bytes]:
    """Return the project's files, without those of git and the paths that the answers record."""
    files = (path for path in project.rglob("*") if path.is_file())
    relative = {path.relative_to(project).as_posix(): path for path in files}
    return {
        name: re.sub(rb"_src_path: .*", b"", path.read_bytes())
        for name, path in relative.items()
        if not name.startswith(".git/")
    }


def release_problems(root: Path, version: str) -> list[str]:
    """Return the reasons why the checkout cannot be released as this version."""
    number = release_number(version)
    if number is None:
        return ["VERSION is not a version such as 1.2.3."]
    last = _last_release(root)
    problems = [] if number > (release_number(last) or ()) else [f"{last} is not older."]
    if _git(root, "status", "--porcelain"):
        problems.append("There are uncommitted changes.")
    if _git(root, "rev-parse", "--is-shallow-repository") == "true":
        problems.append("This is a shallow clone; git fetch --unshallow completes it.")
    heading = rf"^## {re.escape(version)}, \d{{4}}-\d\d-\d\d$"
    if not re.search(heading, _text(root / "CHANGELOG.md"), re.MULTILINE):
        problems.append(f"CHANGELOG.md has no heading '## {version}, YYYY-MM-DD'.")
    return [*problems, *_record_problems(root, version), *_lost(root, last)]


def _record_problems(root: Path, version: str) -> list[str]:
    file = root / RECORDS / f"{version}.toml"
    try:
        record = read_release(_text(file))
    except (OSError, ValueError) as error:
        return [f"{RECORDS}/{version}.toml: {error}."]
    if record.version != version:
        return [f"{file.name} is the record of {record.version}."]
    return _optimization_problems(root, record)


def _optimization_problems(root: Path, record: Release) -> list[str]:
    choices = {question.name: question.choices for question in load_questions(root)}
    problems = []
    for each in record.optimizations:
        if not (root / each.measurement).is_file():
            problems.append(f"{each.title!r} has no measurement {each.measurement!r}.")
        problems += [
            f"{each.title!r} names an unknown answer to {name}: {value!r}."
            for name, values in each.only.items()
            for value in values
            if value not in choices.get(name, {})
        ]
    return problems


def _lost(root: Path, last: str) -> list[str]:
    """Return the choices and template files of the last release that no longer exist."""
    if not last:
        return []
    with tempfile.TemporaryDirectory() as folder:
        old = load_questions(History(root, last).unpack(last, "copier.yml", into=Path(folder)))
    new = {question.name: question.choices for question in load_questions(root)}
    lost = [
        f"The choice {value!r} of {question.name} is gone; projects that have it could not be updated."
        for question in old
        for value in question.choices
        if value not in new.get(question.name, {})
    ]
    renamed = _git(root, "diff", "--diff-filter=R", "-M50", "--name-status", last, "HEAD", "--", "template")
    return [*lost, *(f"A template file was renamed: {row}." for row in renamed.splitlines())]


def _last_release(root: Path) -> str:
    tags = [tag for tag in _git(root, "tag", "--list", "v*").splitlines() if release_number(tag)]
    return max(tags, key=lambda tag: release_number(tag) or (), default="")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()

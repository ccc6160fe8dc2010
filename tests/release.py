"""Check that a release is ready, and tag it: `make release VERSION=1.2.3`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from fastforge.history import History, release_number
from fastforge.questions import load_questions
from fastforge.releases import RECORDS, Release, read_release

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Tag the release that the command line names, or exit with a list of what is missing."""
    version = sys.argv[1] if len(sys.argv) > 1 else ""
    problems = release_problems(ROOT, version)
    if problems:
        sys.exit("\n".join([f"Not ready for {version!r}:", *(f"  {problem}" for problem in problems)]))
    _git(ROOT, "tag", "--annotate", f"v{version}", "--message", f"FastForge {version}")
    print(f"Tagged v{version}. Publish it: git push origin v{version}")


def release_problems(root: Path, version: str) -> list[str]:
    """Return the reasons why the checkout cannot be released as this version."""
    number = release_number(version)
    if number is None:
        return ["VERSION is not a version such as 1.2.3."]
    last = _last_release(root)
    problems = [] if number > (release_number(last) or ()) else [f"{last} is not older."]
    if _git(root, "status", "--porcelain"):
        problems.append("There are uncommitted changes.")
    declared = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    if declared != version:
        problems.append(f"pyproject.toml says {declared}.")
    if not re.search(
        rf"^## {re.escape(version)}, \d{{4}}-\d\d-\d\d$", _text(root / "CHANGELOG.md"), re.MULTILINE
    ):
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
        if not (root / each.receipt).is_file():
            problems.append(f"{each.title!r} has no receipt {each.receipt!r}.")
        problems += [
            f"{each.title!r} names no answer of {name}: {value!r}."
            for name, values in each.only.items()
            for value in values
            if value not in choices.get(name, {})
        ]
    return problems


def _lost(root: Path, last: str) -> list[str]:
    """Return the questions, choices and template files of the last release that no longer exist."""
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

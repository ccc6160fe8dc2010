"""The recorded session in docs/update-session.md, replayed. With RECORD=1, it is recorded."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import GIT_IDENTITY
from tests.repository import REPOSITORY

DOCUMENT = REPOSITORY / "docs/update-session.md"
BLOCK = re.compile(r"(?<=```text\n).*?(?=```)", re.DOTALL)
NEWER = "# A newer wheel is installed."
# The hash of a commit, and the number of files, depend on the template.
CHANGING = re.compile(r"\d+ files, first commit [0-9a-f]+")
Shell = Callable[[str, str], str]


@pytest.fixture
def shell(wheels: dict[str, Path], tmp_path: Path) -> Shell:
    """Return a function that runs a line with one release of FastForge, and returns its output."""
    command, home = tmp_path / "bin/fastforge", tmp_path / "ada"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m fastforge "$@"\n')
    command.chmod(0o755)
    home.mkdir()
    place = home

    def run(line: str, version: str) -> str:
        nonlocal place
        variables = {
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(wheels[version]),
            "HOME": str(home),
            **GIT_IDENTITY,
        }
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=place,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if line.startswith("cd "):
            place = place / line.removeprefix("cd ")
        return done.stdout.replace(str(home), "/home/ada")

    return run


def replayed(session: str, shell: Shell) -> Iterator[str]:
    """Yield the lines of a session, with the output that its commands have now."""
    version = "v1.0.0"
    for line in session.splitlines():
        if line == NEWER:
            version = "v1.1.0"
            yield from (line, "")
        if line.startswith("$ "):
            yield from (line, *shell(line.removeprefix("$ "), version).splitlines(), "")


def without_what_changes(session: str) -> str:
    return CHANGING.sub("", session)


def test_the_recorded_session_is_what_the_commands_print(shell: Shell) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    recorded = BLOCK.search(text)
    assert recorded

    session = "\n".join(replayed(recorded[0], shell))

    if os.environ.get("RECORD"):
        DOCUMENT.write_text(text.replace(recorded[0], session), encoding="utf-8")
        return
    assert without_what_changes(session) == without_what_changes(recorded[0])

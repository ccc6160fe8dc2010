"""The checks of `make lint`: formatting, style, types, English and spelling."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment

TOOLS = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command", ["ruff format --check", "ruff check", "mypy", "python -m tools.prose", "codespell"]
)
def test_there_are_no_findings(command: str) -> None:
    tool, *arguments = command.split()
    done = subprocess.run(
        [str(TOOLS / tool), *arguments],
        cwd=REPOSITORY,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"

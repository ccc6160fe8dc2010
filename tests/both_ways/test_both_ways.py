"""A service behaves alike with and without the fast path: for clients, the server, and user code."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import hypothesis
import pytest

from tests.repository import TEMPLATE, VAR
from tests.variants.environments import clean_environment, environment_of

PROGRAM = Path(__file__).with_name("program.py")
APPLICATIONS = 1_600
# Of these requests some hundred must take the fast path, or the comparison means little.
LEAST_DIRECT = 300
LEAST_WITH_DEPENDENCIES = 600


@pytest.fixture
def hypothesis_alone(tmp_path: Path) -> Path:
    """Return a folder with Hypothesis and what it imports, for an environment that has neither."""
    installed = Path(hypothesis.__file__).parents[1]
    for path in [
        installed / "hypothesis",
        installed / "sortedcontainers",
        *installed.glob("_hypothesis_*.py"),
    ]:
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def test_no_request_gets_a_different_response(hypothesis_alone: Path) -> None:
    python = environment_of(TEMPLATE) / "bin/python"
    path = os.pathsep.join([str(TEMPLATE), str(hypothesis_alone)])

    ran = subprocess.run(
        [str(python), "-W", "error", str(PROGRAM), str(APPLICATIONS)],
        env=clean_environment(PYTHONPATH=path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    counted = json.loads(ran.stdout)
    (VAR / "both-ways.json").write_text(ran.stdout + "\n")
    print(", ".join(f"{number} {name}" for name, number in counted.items()))
    assert counted["direct"] >= LEAST_DIRECT
    assert counted["direct with dependencies"] >= LEAST_WITH_DEPENDENCIES

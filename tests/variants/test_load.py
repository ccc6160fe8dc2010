"""The load test and the profile of a generated project, on the real tools."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.twins import ANSWERS
from tests.variants.environments import clean_environment, environment_of, environment_of_all
from tests.variants.rendering import Project, Renderer

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def project(renderer: Renderer) -> Project:
    return renderer.render(ANSWERS)


@pytest.fixture
def run(project: Project) -> Run:
    """Run a module of the project, and return how it ended."""

    def run(environment: Path, *command: str) -> Any:
        python = [str(environment / "bin" / "python"), "-m", *command]
        return subprocess.run(
            python, cwd=project.folder, env=clean_environment(), capture_output=True, text=True, check=False
        )

    return run


def test_customers_get_what_they_ask_for(run: Run) -> None:
    done = run(environment_of_all(), "benchmarks.load_test", "--users", "5", "--seconds", "8")

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\[id\] If-None-Match +[1-9]\d* +0\(0\.00%\)", done.stdout + done.stderr)


def test_a_profile_is_a_flame_graph_and_a_table(run: Run, project: Project) -> None:
    done = run(environment_of_all(), "benchmarks.profile", "--seconds", "2")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "RequestIdMiddleware.__call__ (app/middleware.py" in project.read("var/profile.svg")
    assert project.read("var/profile.txt") in done.stdout


@pytest.mark.parametrize(
    ("module", "tool"), [("benchmarks.load_test", "Locust"), ("benchmarks.profile", "py-spy")]
)
def test_a_tool_that_is_not_installed_is_named_in_one_line(
    run: Run, project: Project, module: str, tool: str
) -> None:
    done = run(environment_of(project.folder), module)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {tool} is not installed. Run: make ")
    assert done.stderr.count("\n") == 1

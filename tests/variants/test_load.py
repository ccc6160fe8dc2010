"""The load test of a generated project, and its profile, with the real tools."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.servers.process import free_port
from tests.twins import ANSWERS
from tests.variants.environments import clean_environment, environment_of_all
from tests.variants.rendering import Renderer
from tests.variants.running import Run
from tests.variants.space import default_variant

pytestmark = pytest.mark.thorough


@pytest.fixture
def project(renderer: Renderer) -> Iterator[Path]:
    """A project with the default answers and the tools of `make load`, installed."""
    folder = renderer.render(ANSWERS).folder
    environment = environment_of_all()
    (folder / ".venv").symlink_to(environment)
    for stamp in ("installed", "load-installed"):
        (environment / stamp).touch()
    yield folder
    (folder / ".venv").unlink()


def test_the_simulated_customers_get_their_responses(renderer: Renderer, tmp_path: Path) -> None:
    run = Run(default_variant(), {"DATABASE_URL": f"sqlite:///{tmp_path}/app.db"})
    run.folder, run.project = tmp_path, tmp_path / "project"
    run.render(renderer)
    environment = environment_of_all()
    (run.project / ".venv").symlink_to(environment)
    for stamp in ("installed", "load-installed"):
        (environment / stamp).touch()
    run.migrate()
    with run.served() as service:
        load = ["make", "load", f"URL={service.url}", "LOAD=--users 5 --spawn-rate 5 --run-time 15s"]
        done = subprocess.run(
            load, cwd=run.project, env=clean_environment(), capture_output=True, text=True, check=False
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\[id\] If-None-Match +[1-9]\d* +0\(0\.00%\)", done.stdout + done.stderr)


def test_a_profile_is_a_flame_graph_and_a_table(project: Path) -> None:
    command = [sys.executable, "-m", "fastforge", "profile", str(project), "--seconds", "2"]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "RequestIdMiddleware.__call__ (app/forge/http/middleware.py"
        in (project / "var/profile.svg").read_text()
    )
    assert (project / "var/profile.txt").read_text() in done.stdout


def test_a_service_that_does_not_run_fails_the_load_test(project: Path) -> None:
    nowhere = ["make", "load", f"URL=http://127.0.0.1:{free_port()}", "LOAD=--users 1 --run-time 1s"]
    done = subprocess.run(
        nowhere, cwd=project, env=clean_environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode
    assert "Connection refused" in done.stdout + done.stderr

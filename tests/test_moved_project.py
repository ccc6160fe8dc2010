"""A project works after it was moved, installed as a package, and with Python's safe path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import uv

from tests.variants.environments import clean_environment
from tests.variants.rendering import Project, Renderer


@pytest.fixture
def project(renderer: Renderer) -> Project:
    """Return the default project with its own environment, which is installed already."""
    project = renderer.render({"project_name": "Items API"})
    venv = project.folder / ".venv"
    python, requirements = str(venv / "bin/python"), str(project.folder / "requirements-dev.txt")
    install = ["pip", "install", "--quiet", "--python", python, "--require-hashes", "--requirement"]
    for arguments in (["venv", "--quiet", "--python", sys.executable, str(venv)], [*install, requirements]):
        subprocess.run([uv.find_uv_bin(), *arguments], check=True, env=clean_environment())
    (venv / "installed").touch()
    return project


def make(folder: Path, target: str, **variables: str) -> None:
    """Run a target of the project's Makefile."""
    done = subprocess.run(
        ["make", target],
        cwd=folder,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_project_that_was_moved_still_works(project: Project, tmp_path: Path) -> None:
    moved = project.folder.rename(tmp_path / "moved to here")
    for target in ("lint", "migrate"):
        make(moved, target)


def test_a_safe_path_in_the_environment_hides_nothing(project: Project) -> None:
    make(project.folder, "migrate", PYTHONSAFEPATH="1")


def test_a_project_can_be_installed_for_editing(project: Project, tmp_path: Path) -> None:
    python = str(project.folder / ".venv/bin/python")
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--python", python]
    subprocess.run([*install, "--editable", str(project.folder)], check=True, env=clean_environment())
    command = [python, "-c", "import app.main; print(app.main.__file__)"]
    shown = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert shown.strip() == str(project.folder / "app/main.py")

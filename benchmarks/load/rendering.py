"""Services rendered from the template in the working tree, including uncommitted changes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import copier

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "template"
ANSWERS = {"project_name": "Items API", "description": "A FastAPI service that keeps items."}
# The paths that Copier reads beside the template.
SOURCES = ("copier.yml", "macros")


def copy_source(folder: Path) -> Path:
    """Return a plain folder with the template, in which Copier finds no repository to clone."""
    source = folder / "source"
    if not source.exists():
        ignored = shutil.ignore_patterns(".venv", "var", "__pycache__", ".*_cache")
        shutil.copytree(TEMPLATE, source / "template", ignore=ignored)
        for path in (REPOSITORY / name for name in SOURCES):
            if path.is_dir():
                shutil.copytree(path, source / path.name, ignore=ignored)
            elif path.exists():
                shutil.copy(path, source)
    return source


def render(folder: Path, name: str, answers: Mapping[str, str]) -> Path:
    """Return the project `name` in the folder; it is rendered with these answers if it does not exist."""
    project = folder / name
    data = {**ANSWERS, **answers}
    if not project.exists():
        copier.run_copy(str(copy_source(folder)), project, data=data, defaults=True, quiet=True)
    return project


def migrate(project: Path, variables: Mapping[str, str]) -> None:
    """Create the tables of a project's database, if it has migrations."""
    if (project / "alembic.ini").exists():
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        subprocess.run(command, cwd=project, env={**os.environ, **variables}, check=True, capture_output=True)

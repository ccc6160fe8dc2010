"""Services rendered from the template as it lies in the working tree, uncommitted changes included."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import copier

REPOSITORY = Path(__file__).parent.parent
TEMPLATE = REPOSITORY / "template"
ANSWERS = {"project_name": "Items API", "description": "A FastAPI service that keeps items."}


def copy_source(folder: Path) -> Path:
    """Return a plain folder with the template, in which Copier finds no repository to clone."""
    source = folder / "source"
    if not source.exists():
        ignored = shutil.ignore_patterns(".venv", "var", "__pycache__", ".*_cache")
        shutil.copytree(TEMPLATE, source / "template", ignore=ignored)
        shutil.copy(REPOSITORY / "copier.yml", source)
        shutil.copytree(REPOSITORY / "macros", source / "macros")
    return source


def render(folder: Path, name: str, answers: Mapping[str, str]) -> Path:
    """Return the new project `name` in the folder, rendered with these answers, else with the defaults."""
    project = folder / name
    data = {**ANSWERS, **answers}
    if not project.exists():
        copier.run_copy(str(copy_source(folder)), project, data=data, defaults=True, quiet=True)
    return project

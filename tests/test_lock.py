"""`make lock` of a generated project writes what the template's own lock wrote."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.variants.environments import EVERY_FILE, clean_environment, environment_of
from tests.variants.rendering import Project, Renderer
from tests.variants.space import every_variant

VARIANTS = ["sqlite-ttl-orjson-negotiated-uvicorn", "postgres-redis-pydantic-gzip-gunicorn"]


@pytest.fixture
def project(renderer: Renderer, request: pytest.FixtureRequest) -> Project:
    """Return a variant as it is rendered."""
    (variant,) = [variant for variant in every_variant() if variant.name == request.param]
    return renderer.render_variant(variant)


def lock(project: Project) -> subprocess.CompletedProcess[str]:
    """Run what `make lock` runs."""
    return subprocess.run(
        [environment_of(project.folder) / "bin/python", "-m", "tests.lock"],
        cwd=project.folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("project", VARIANTS, indirect=True)
def test_without_a_change_the_files_stay_as_they_are(project: Project) -> None:
    before = [project.read(name) for name in EVERY_FILE]
    done = lock(project)
    assert done.returncode == 0, done.stderr
    assert [project.read(name) for name in EVERY_FILE] == before


@pytest.mark.parametrize("project", VARIANTS[:1], indirect=True)
def test_a_new_dependency_only_adds_lines(project: Project) -> None:
    before = project.read("requirements.txt").splitlines()
    edit(
        project.folder / "pyproject.toml", "dependencies = [\n", 'dependencies = [\n  "itsdangerous>=2,<3",\n'
    )
    done = lock(project)
    assert done.returncode == 0, done.stderr
    added = [line for line in project.read("requirements.txt").splitlines() if line not in before]
    assert added[0].startswith("itsdangerous==2.")
    assert not [line for line in before if line not in project.read("requirements.txt").splitlines()]
    assert not re.search("https?://|itsdangerous", "".join(project.read(name) for name in EVERY_FILE[1:]))


@pytest.mark.parametrize("project", VARIANTS[:1], indirect=True)
def test_ranges_that_cannot_be_met_change_nothing(project: Project) -> None:
    before = [project.read(name) for name in EVERY_FILE]
    edit(project.folder / "pyproject.toml", "dependencies = [\n", 'dependencies = [\n  "fastapi<0.1",\n')
    done = lock(project)
    assert done.returncode != 0
    assert "fastapi" in done.stderr
    assert [project.read(name) for name in EVERY_FILE] == before

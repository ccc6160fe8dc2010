"""Whatever resources are called and hold: their files are formatted and without lint, for every database."""

from __future__ import annotations

import shutil
import subprocess
from itertools import cycle
from typing import Any

import pytest
from fastforge.template.resources import parse_line
from hypothesis import HealthCheck, Phase, given, settings

from tests.resource_lists import resource_lists
from tests.variants.environments import clean_environment, environment_of_all
from tests.variants.rendering import Project, Renderer

DATABASES = ("sqlite", "postgres", "mongodb")
NEXT_DATABASE = cycle(DATABASES)
LONG = "x" * 23
# Lines that are as long as they can be, words of Python and SQL, and numbers, which imports are sorted by.
HARD = [
    f"""
    {LONG} plural={LONG}s {"y" * 30}:str:default={"z" * 28}
    amount:decimal:digits=18:places=9:min=-9:max=999999999 parent:ref={LONG}s:optional
    zz:ref={LONG}s:on_delete=cascade:optional code:str:unique words:list=str:filter
    """,
    f"""
    order10 x:ref={LONG}s type:str date:date any:uuid field:str reference:str range:list=int
    values:list=str:filter moment:datetime
    """,
    f"""
    order2 x:ref=order10s:optional y:ref={LONG}s:optional index:int:filter group:str:unique
    select:bool table:json i:int o:str
    """,
    "credit order:ref=order2s check:decimal:places=0:min=0:max=5:default=3",
    "nothing x:json without=batch,export,summary",
]


def check(renderer: Renderer, resources: list[Any], database: str) -> None:
    """Render the resources, and look at what was rendered as `make lint` in a project does."""
    project = renderer.render({"project_name": "Items API", "database": database, "resources": resources})
    for arguments in (["format", "--check", "--diff"], ["check"]):
        done = ruff(project, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(project.folder)


def ruff(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(environment_of_all() / "bin/ruff"), *arguments, "--no-cache"]
    return subprocess.run(
        command, cwd=project.folder, env=clean_environment(), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("database", DATABASES)
def test_hard_resources_are_formatted_and_without_lint(renderer: Renderer, database: str) -> None:
    check(renderer, [parse_line(line) for line in HARD], database)


@given(resource_lists())
@settings(
    deadline=None,
    max_examples=12,
    # A rendering takes too long for finding the smallest example.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_random_resources_are_formatted_and_without_lint(
    renderer: Renderer, drawn: list[tuple[dict[str, Any], Any]]
) -> None:
    check(renderer, [resource for resource, _ in drawn], next(NEXT_DATABASE))

"""Files of any resources are formatted and without lint, for every database."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from fastforge.template.resources import parse_line
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from testkit.servers.variables import ServerOf
from tests.resource_lists import resource_lists
from tests.variants.drawn import GRAMMAR, Change, Drawn, changes
from tests.variants.environments import clean_environment, environment_of_all
from tests.variants.rendering import Project, Renderer
from tests.variants.space import covering_variants

DATABASES = ("sqlite", "postgres", "mongodb")
NEXT_DATABASE = cycle(DATABASES)
LONG = "x" * 23
# Lines of maximum length, keywords of Python and SQL, and numbers, by which imports are sorted.
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
# Fields that can have few values, unique or not, and names that the tests of a resource use.
FEW = [
    """
    plan kind:enum=free,paid:unique:filter level:int:min=1:max=2:filter
    share:decimal:digits=18:places=18:min=0.000000000000000001:max=0.000000000000000003:unique:filter
    ratio:float:min=0.1:max=0.1001:unique tiny:decimal:digits=18:places=18:filter
    """,
    """
    seat plan:ref=plans:unique other:ref=plans:filter client:str:min=1:max=1:unique:filter
    numbers:int:min=5:max=5:filter number:decimal:digits=1:places=0:unique field:json:max=2
    range_of:decimal:places=9:max=-0.000000001:unique discount:decimal:min=0.5:max=0.75:filter:optional
    """,
    """
    visit other:ref=plans:optional:on_delete=null plan:ref=plans:unique:on_delete=cascade
    kind:enum=a,b,c:unique
    """,
    """
    room other:ref=visits:optional:on_delete=null visit:ref=visits:unique plan:ref=plans:unique words:list=int
    """,
    f"""
    {LONG[:18]}_few plural={LONG[:18]}_list
    {"k" * 30}:decimal:digits=18:places=18:unique:min=0.999999999999999000:max=0.999999999999999900
    {"m" * 29}:float:unique:min=-99999999999.9999:max=99999999999.9999 seat:ref=seats
    {"n" * 30}:enum={"a" * 50},{"b" * 50}:filter text:str:min=700:max=900 {"p" * 30}:list=str:filter
    """,
]


def check(renderer: Renderer, resources: list[Any], database: str) -> None:
    """Render the resources, and check the files as `make lint` in a project does."""
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
    check(renderer, [parse_line(line) for line in (*HARD, *FEW)], database)


@pytest.mark.thorough
@pytest.mark.parametrize("database", DATABASES)
def test_fields_with_few_values_keep_their_contract(
    renderer: Renderer, types_cache: Path, server_of: ServerOf, database: str
) -> None:
    resources = [parse_line(line) for line in FEW]
    answers = {"resources": resources, "revisions": GRAMMAR.revisions_of(resources)}
    variant = next(each for each in covering_variants() if each["database"] == database)
    drawn = Drawn(variant, server_of, renderer, f"few-{database}")
    drawn.take_through(Change(answers, answers), types_cache)


# A drawn list takes too long for finding the smallest example.
NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
# Lists that are served for each database.
SERVED = {"quick": 1, "covering": 4, "all": 12}


@given(resource_lists())
@settings(deadline=None, max_examples=12, phases=NO_SHRINKING, suppress_health_check=SLOW)
def test_random_resources_are_formatted_and_without_lint(
    renderer: Renderer, drawn: list[tuple[dict[str, Any], Any]]
) -> None:
    check(renderer, [resource for resource, _ in drawn], next(NEXT_DATABASE))


@pytest.mark.parametrize("database", DATABASES)
def test_random_resources_keep_their_contract_and_their_rows_when_they_change(
    renderer: Renderer,
    types_cache: Path,
    server_of: ServerOf,
    record_property: Callable[[str, object], None],
    pytestconfig: pytest.Config,
    database: str,
) -> None:
    served = SERVED.get(pytestconfig.getoption("--variants"), 1)
    counts: Counter[str] = Counter()
    variants = cycle(each for each in covering_variants() if each["database"] == database)

    @given(st.data(), resource_lists().filter(bool))
    @settings(deadline=None, max_examples=served, phases=NO_SHRINKING, suppress_health_check=SLOW)
    def take_through(data: st.DataObject, drawn: list[tuple[dict[str, Any], Any]]) -> None:
        change = data.draw(changes([resource for resource, _ in drawn]))
        taken = Drawn(next(variants), server_of, renderer, database)
        taken.take_through(change, types_cache)
        counts.update(taken.counts.as_data())

    take_through()
    record_property("drawn", dict(counts))

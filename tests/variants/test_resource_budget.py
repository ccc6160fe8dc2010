"""The files and lines that a resource adds to a project, and mentions of it elsewhere."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.variants.budgets import resource_budget
from tests.variants.rendering import Renderer
from tests.variants.space import Variant, default_variant, every_variant

ANSWERS_FILE = Path(".copier-answers.yml")
ITEM: dict[str, Any] = {
    "name": "item",
    "fields": [
        "name:str:max=200:unique",
        "description:str:min=0:max=2000:optional",
        "price_cents:int:min=0",
        "tags:list=str:max=20:max_each=50:default=:filter",
    ],
}
ORDER: dict[str, Any] = {
    "name": "order",
    "fields": [
        "number:str:max=40:unique",
        "item:ref=items",
        "quantity:int:min=1",
        "status:enum=open,paid,shipped:default=open:filter",
        "note:str:max=2000:optional",
        "due:date:optional:filter",
    ],
}
FIRST = {"id": "0001", "after": "", "steps": [{"create": ITEM}]}
SECOND = {"id": "5f2c9a1be04d", "after": "0001", "steps": [{"create": ORDER}]}
Texts = Mapping[Path, list[str]]


def one_of_each_database() -> list[Variant]:
    """Return the variants that differ from the default one only in their database."""
    others = set(dict(default_variant().answers)) - {"database"}
    alike = {name: default_variant()[name] for name in others}
    chosen = [each for each in every_variant() if {name: each[name] for name in others} == alike]
    return [each for each in chosen if each["mongodb_driver"] != "motor"]


@pytest.fixture(params=one_of_each_database(), ids=lambda variant: variant["database"])
def variant_of_database(request: pytest.FixtureRequest) -> Variant:
    variant: Variant = request.param
    return variant


def rendered(renderer: Renderer, variant: Variant, **answers: Any) -> Texts:
    """Return the lines of each file of a project, except for its answers, which define the resource."""
    project = renderer.render({"project_name": "Shop", **dict(variant.answers), **answers})
    texts = {path.relative_to(project.folder): path for path in project.files()}
    lines = {name: path.read_text("utf-8").splitlines() for name, path in texts.items()}
    renderer.remove(project)
    return {name: text for name, text in lines.items() if name != ANSWERS_FILE}


def changed_lines(before: list[str], after: list[str]) -> int:
    """Return the number of lines that were added or removed."""
    return sum(line[0] in "+-" for line in list(difflib.unified_diff(before, after, n=0))[2:])


def test_a_resource_adds_few_files_and_changes_few_lines_elsewhere(
    renderer: Renderer, variant_of_database: Variant
) -> None:
    before = rendered(renderer, variant_of_database, resources=[ITEM], revisions=[FIRST])
    after = rendered(renderer, variant_of_database, resources=[ITEM, ORDER], revisions=[FIRST, SECOND])

    added = after.keys() - before.keys()
    measured = {
        "files": len(added),
        "lines": sum(len(after[name]) for name in added),
        "lines_elsewhere": sum(changed_lines(before[name], after[name]) for name in before),
    }

    print(variant_of_database.name, measured)
    budget = resource_budget()
    assert {name: count for name, count in measured.items() if count > budget[name]} == {}
    assert before.keys() <= after.keys()


def test_few_files_of_a_project_mention_its_resource(
    renderer: Renderer, variant_of_database: Variant
) -> None:
    items = rendered(renderer, variant_of_database, resources=[ITEM])
    widgets = rendered(renderer, variant_of_database, resources=[{**ITEM, "name": "widget"}])

    shared = items.keys() & widgets.keys()
    mentioning = sorted(str(name) for name in shared if items[name] != widgets[name])

    print(variant_of_database.name, mentioning)
    assert len(mentioning) <= resource_budget()["files_that_mention_it"], mentioning
    assert not [name for name in mentioning if name.startswith("app/forge")]

"""The files that check for newer templates are in a project if they were chosen."""

from __future__ import annotations

import pytest

from tests.variants.rendering import Renderer
from tests.variants.schemas import schema_errors

FILES = {".github/workflows/template-update.yml": "github-actions", "renovate.json": "renovate"}


@pytest.mark.parametrize("updates", ["none", *FILES.values()])
def test_the_answer_adds_its_file_and_its_lines_and_no_others(renderer: Renderer, updates: str) -> None:
    project = renderer.render({"project_name": "Shop", "updates": updates})

    assert {name: (project.folder / name).exists() for name in FILES} == {
        name: answer == updates for name, answer in FILES.items()
    }
    workflow, readme = project.read(".github/workflows/ci.yml"), project.read("docs/operating.md")
    assert ("workflow_call" in workflow) == ("inputs.ref" in workflow) == (updates == "github-actions")
    assert {name: name in readme for name in FILES} == {
        name: answer == updates for name, answer in FILES.items()
    }
    present = [".github/workflows/ci.yml", *(name for name in FILES if (project.folder / name).exists())]
    assert not [error for name in present for error in schema_errors(name, project.read(name))]

"""Ruff's findings in a project of a batch are assigned to that project, with its settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.variants.batches import Batch
from tests.variants.rendering import Renderer
from tests.variants.space import quick_variants


@pytest.fixture
def batch(renderer: Renderer, tools: Path) -> Iterator[Batch]:
    batch = Batch(renderer, quick_variants(), tools)
    yield batch
    batch.remove()


def test_only_the_project_with_the_fault_is_named(batch: Batch) -> None:
    good, bad = quick_variants()
    (batch.projects[bad].folder / "app/untidy.py").write_text("import os\nx = { 'a':1 }\n")

    assert (batch.unformatted[good], batch.lint[good]) == ([], [])
    assert any("app/untidy.py" in line for line in batch.unformatted[bad])
    assert any("F401" in line for line in batch.lint[bad])


def test_settings_that_cannot_be_read_are_a_fault(batch: Batch) -> None:
    _, bad = quick_variants()
    (batch.projects[bad].folder / "pyproject.toml").write_text("[tool.ruff]\nno-such-setting = 1\n")

    assert batch.lint[bad]

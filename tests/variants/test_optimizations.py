"""The optimizations of every variant: those of its answers apply, their edits fit, and the rest compiles."""

from __future__ import annotations

from pathlib import Path

from fastforge.inspect.kit import applying_folders
from fastforge.inspect.optimizations import Optimization, load_optimizations

from tests.repository import OPTIMIZATIONS
from tests.variants.rendering import Project
from tests.variants.space import Variant

CATALOGUE = {optimization.id: optimization for optimization in load_optimizations(OPTIMIZATIONS)}


def optimizations_of(project: Project) -> list[Optimization]:
    folders = set(applying_folders(project.answers))
    return [optimization for optimization in CATALOGUE.values() if optimization.applies_to in folders]


def answers_of(folder: str, variant: Variant) -> bool:
    """Return whether records in this folder are for the variant."""
    compresses = variant["deployment"] != "nginx" and variant["compression"] != "none"
    return {
        "every": True,
        "any_cache": variant["cache"] != "none",
        "any_compression": compresses,
        "negotiated": compresses and variant["compression"] == "negotiated",
        "gzip": compresses and variant["compression"] == "gzip",
        "nginx_compression": variant["deployment"] == "nginx" and variant["compression"] != "none",
    }.get(folder, folder in dict(variant.answers).values())


def test_the_records_of_its_answers_and_no_others_apply_to_a_project(
    project: Project, any_variant: Variant
) -> None:
    expected = {
        id_ for id_, optimization in CATALOGUE.items() if answers_of(optimization.applies_to, any_variant)
    }

    assert {optimization.id for optimization in optimizations_of(project)} == expected


def test_every_edit_of_every_record_fits_once(project: Project) -> None:
    for optimization in optimizations_of(project):
        assert optimization.places(project.folder), optimization.id


def test_a_project_compiles_without_each_optimization(project: Project, tmp_path: Path) -> None:
    for optimization in optimizations_of(project):
        for name in {edit.file for edit in optimization.edits}:
            text = project.read(name)
            for edit in optimization.edits:
                if edit.file == name:
                    assert text.count(edit.text) == 1, optimization.id
                    text = text.replace(edit.text, edit.without)
            assert text != project.read(name)
            if name.endswith(".py"):
                compile(text, name, "exec")

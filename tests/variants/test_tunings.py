"""The optimizations of every variant: those of its answers; their edits fit, and what is left compiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastforge.tunings import TUNINGS, load_module

from tests.repository import TEMPLATE
from tests.variants.rendering import Project
from tests.variants.space import Variant

tunings = load_module()
CATALOGUE = {tuning.id: tuning for tuning in tunings.load_tunings(TEMPLATE / TUNINGS)}


def tunings_of(project: Project) -> list[Any]:
    found: list[Any] = tunings.load_tunings(project.folder / TUNINGS)
    return found


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


def test_a_project_has_the_records_of_its_answers_and_no_others(
    project: Project, any_variant: Variant
) -> None:
    expected = {id_ for id_, tuning in CATALOGUE.items() if answers_of(tuning.applies_to, any_variant)}

    assert {tuning.id for tuning in tunings_of(project)} == expected


def test_every_edit_of_every_record_fits_once(project: Project) -> None:
    for tuning in tunings_of(project):
        assert tuning.places(project.folder), tuning.id


def test_a_project_compiles_without_each_tuning(project: Project, tmp_path: Path) -> None:
    for tuning in tunings_of(project):
        for name in {edit.file for edit in tuning.edits}:
            text = project.read(name)
            for edit in tuning.edits:
                if edit.file == name:
                    assert text.count(edit.text) == 1, tuning.id
                    text = text.replace(edit.text, edit.without)
            assert text != project.read(name)
            if name.endswith(".py"):
                compile(text, name, "exec")

"""The list of mutants fits the template that it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import Mutant, chosen_mutants
from tests.repository import TEMPLATE
from tests.variants.machinery import shop
from tests.variants.rendering import Renderer
from tests.variants.space import variants_named

MUTANTS = chosen_mutants([])


def times_in(folder: Path, mutant: Mutant) -> int:
    """Return how often the text that a mutant replaces occurs in its file."""
    file = folder / mutant.file
    return file.read_text(encoding="utf-8").count(mutant.old) if file.exists() else 0


@pytest.mark.parametrize("name", dict.fromkeys(mutant.variant for mutant in MUTANTS))
def test_the_text_that_a_mutant_replaces_occurs_once_in_its_file(renderer: Renderer, name: str) -> None:
    (variant,) = variants_named(name)
    project = renderer.render_variant(variant).folder
    with_shop = renderer.render_variant(variant, shop(variant["auth"])).folder
    # Fault tests render the project themselves, so their mutants are applied to the template.
    places = {"own": project, "contract": project, "faults": TEMPLATE}
    places |= dict.fromkeys(("machinery", "resources"), with_shop)

    times = {
        mutant.name: times_in(places[mutant.suite], mutant) for mutant in MUTANTS if mutant.variant == name
    }

    assert {mutant: count for mutant, count in times.items() if count != 1} == {}


def test_mutants_have_unique_names() -> None:
    names = [mutant.name for mutant in MUTANTS]

    assert len(set(names)) == len(names)

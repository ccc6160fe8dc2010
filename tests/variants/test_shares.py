"""The Pythons share the covering set: all pairs of answers run, and each Python runs every answer."""

from __future__ import annotations

import pytest

from tests.variants.interpreters import SUPPORTED
from tests.variants.shares import shares
from tests.variants.space import covering_variants, default_variant

PYTHONS = len(SUPPORTED)


@pytest.fixture(scope="module")
def answers() -> set[tuple[str, str]]:
    return {answer for variant in covering_variants() for answer in variant.answers}


@pytest.mark.parametrize("pythons", range(1, PYTHONS + 1))
def test_each_variant_of_the_covering_set_is_in_a_share(pythons: int) -> None:
    made = shares(covering_variants(), pythons)

    assert {variant for share in made for variant in share} == set(covering_variants())


def test_the_default_variant_runs_on_the_python_that_runs_the_tests() -> None:
    assert default_variant() in shares(covering_variants(), PYTHONS)[0]


def test_a_single_python_runs_the_covering_set_once() -> None:
    (share,) = shares(covering_variants(), 1)

    assert sorted(variant.name for variant in share) == sorted(
        variant.name for variant in covering_variants()
    )


def test_each_share_has_every_answer(answers: set[tuple[str, str]]) -> None:
    for share in shares(covering_variants(), PYTHONS):
        assert {answer for variant in share for answer in variant.answers} == answers


def test_shares_are_little_more_than_one_covering_set() -> None:
    made = shares(covering_variants(), PYTHONS)

    assert sum(map(len, made)) <= 1.5 * len(covering_variants())
    assert all(len(set(share)) == len(share) for share in made)


def test_without_another_python_there_is_no_share() -> None:
    assert shares(covering_variants(), 0) == []

"""The other Pythons share the covering set: all pairs of answers run, and each Python runs every answer."""

from __future__ import annotations

import pytest

from tests.variants.interpreters import SUPPORTED
from tests.variants.shares import shares
from tests.variants.space import covering_variants

OTHERS = len(SUPPORTED) - 1


@pytest.fixture(scope="module")
def answers() -> set[tuple[str, str]]:
    return {answer for variant in covering_variants() for answer in variant.answers}


def test_each_variant_of_the_covering_set_is_in_a_share() -> None:
    made = shares(covering_variants(), OTHERS)

    assert {variant for share in made for variant in share} == set(covering_variants())


def test_each_share_has_every_answer(answers: set[tuple[str, str]]) -> None:
    for share in shares(covering_variants(), OTHERS):
        assert {answer for variant in share for answer in variant.answers} == answers


def test_shares_are_little_more_than_one_covering_set() -> None:
    made = shares(covering_variants(), OTHERS)

    assert sum(map(len, made)) <= 1.5 * len(covering_variants())
    assert all(len(set(share)) == len(share) for share in made)


def test_without_another_python_there_is_no_share() -> None:
    assert shares(covering_variants(), 0) == []

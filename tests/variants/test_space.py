"""The space of variants matches copier.yml, and the covering set has every pair of answers."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from fastforge.grammar import load_tables
from fastforge.questions import load_questions
from fastforge.schema import answers_schema
from jsonschema import Draft202012Validator

from tests.conftest import RunFastForge
from tests.variants.space import (
    answers_and_pairs,
    covering_variants,
    default_variant,
    every_variant,
    variants_named,
    varied_questions,
)


def test_no_two_variants_have_the_same_name() -> None:
    assert len({variant.name for variant in every_variant()}) == len(every_variant())


def test_a_question_that_is_not_asked_is_not_answered() -> None:
    asked = {(variant["database"], variant["mongodb_driver"] is not None) for variant in every_variant()}

    assert asked == {("sqlite", False), ("postgres", False), ("mongodb", True)}


def impossible() -> list[dict[str, str]]:
    """Return every combination of choices that answers a question which is not asked."""
    choices = [question for question in load_questions() if question.name in varied_questions()]
    names = [question.name for question in choices]
    combined = [dict(zip(names, values, strict=True)) for values in product(*(q.choices for q in choices))]
    possible = [dict(variant.answers) for variant in every_variant()]
    return [answers for answers in combined if answers not in possible]


def test_every_impossible_combination_is_refused() -> None:
    schema = Draft202012Validator(answers_schema(load_questions(), [], load_tables()))

    assert len(impossible()) >= 100
    assert not [answers for answers in impossible() if schema.is_valid(answers)]
    assert all(schema.is_valid(dict(variant.answers)) for variant in every_variant())


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_the_command_refuses_it_with_the_reason(fastforge: RunFastForge, work: Path, database: str) -> None:
    result = fastforge("new", "shop", "--database", database, "--mongodb-driver", "motor")

    assert result.exit_code == 2
    assert "only asked when database == 'mongodb'" in result.errors
    assert not list(work.iterdir())


def test_the_covering_set_has_every_answer_and_every_possible_pair() -> None:
    held = [set(variant.answers) for variant in covering_variants()]

    missing = [
        answers for answers in answers_and_pairs() if not any(set(answers) <= variant for variant in held)
    ]

    assert not missing


def test_the_covering_set_is_small_and_always_the_same() -> None:
    assert len(covering_variants()) * 10 <= len(every_variant())
    assert covering_variants() == covering_variants()
    assert covering_variants()[0] == default_variant()


def test_variants_can_be_chosen_by_name() -> None:
    first, second = every_variant()[:2]

    assert variants_named(f"{second.name},{first.name}") == (second, first)

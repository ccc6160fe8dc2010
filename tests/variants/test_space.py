"""The space of variants matches copier.yml, and the covering set has every pair of answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from fastforge.template.grammar import load_tables
from fastforge.template.questions import load_questions
from fastforge.template.schema import answers_schema
from jsonschema import Draft202012Validator

from tests.conftest import RunFastForge
from tests.variants import space
from tests.variants.space import (
    PAIRED,
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
    """Return every combination of choices that answers a question which is not asked, but the paired ones."""
    choices = [question for question in load_questions() if question.name in varied_questions() - PAIRED]
    names = [question.name for question in choices]
    combined = [dict(zip(names, values, strict=True)) for values in product(*(q.choices for q in choices))]
    possible = [
        {name: value for name, value in variant.answers if name not in PAIRED} for variant in every_variant()
    ]
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


@pytest.fixture
def two_paired_questions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ask `auth` and `observability` in place of the paired questions, the second of SQL databases only."""
    template = next(question for question in load_questions() if question.name == "cache")
    auth = replace(template, name="auth", choices={"none": "", "oidc": "", "api_key": ""}, default="none")
    choices = {"prometheus": "", "none": ""}
    condition = "database != 'mongodb'"
    observability = replace(
        template, name="observability", choices=choices, default="prometheus", condition=condition
    )
    others = [each for each in load_questions() if each.name not in PAIRED]
    monkeypatch.setattr(space, "load_questions", lambda: (*others, auth, observability))
    monkeypatch.setattr(space, "PAIRED", {"auth", "observability"})
    caches = (space.varied_questions, space.every_variant, space.covering_variants, space._is_special)
    for each in caches:
        each.cache_clear()
    yield
    monkeypatch.undo()
    for each in caches:
        each.cache_clear()


@pytest.mark.usefixtures("two_paired_questions")
def test_answers_to_paired_questions_occur_with_every_other_answer() -> None:
    pairs = {frozenset(pair) for variant in every_variant() for pair in variant.pairs}
    covered = {frozenset(pair) for variant in covering_variants() for pair in variant.pairs}

    wanted = {
        frozenset({(question.name, choice), ("auth", "oidc")})
        for question in load_questions()
        if question.choices and question.name in varied_questions() - PAIRED
        for choice in question.choices
    }
    assert wanted <= pairs
    assert {("auth", "api_key"), ("observability", "none")} in pairs
    assert {("database", "mongodb"), ("observability", "none")} not in pairs
    assert covered == pairs


@pytest.mark.usefixtures("two_paired_questions")
def test_paired_questions_add_few_variants_whose_names_show_what_is_special() -> None:
    plain = [
        variant for variant in every_variant() if not any("_" in part for part in variant.name.split("-"))
    ]
    special = [variant for variant in every_variant() if variant not in plain]

    assert len(special) < len(plain) / 4
    assert any(variant.name.endswith("-auth_oidc-observability_none") for variant in special)
    assert default_variant() in plain
    assert len({variant.name for variant in every_variant()}) == len(every_variant())

"""One list of questions: `copier.yml`. Flags, schema and presets follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from fastforge.errors import UserError
from fastforge.template.answers import load_presets
from fastforge.template.grammar import load_tables
from fastforge.template.questions import check_answers, load_questions
from fastforge.template.schema import answers_schema
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.conftest import RunFastForge
from tests.repository import REPOSITORY

QUESTIONS = load_questions()
PRESETS = load_presets()
TABLES = load_tables()
SCHEMA = answers_schema(QUESTIONS, PRESETS.values(), TABLES)
CONFIG: Mapping[str, Any] = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
CHOICES = {question.name: list(question.choices) for question in QUESTIONS if question.choices}


def test_every_asked_question_is_read_and_no_computed_one() -> None:
    asked = [name for name, details in CONFIG.items() if name[0] != "_" and details.get("when") is not False]

    assert [question.name for question in QUESTIONS] == asked


def test_every_choice_is_read() -> None:
    for question in QUESTIONS:
        assert list(question.choices) == list(CONFIG[question.name].get("choices", {}).values())


def test_the_limits_of_texts_are_read_from_their_validators() -> None:
    by_name = {question.name: question for question in QUESTIONS}

    assert (by_name["project_name"].longest, by_name["project_name"].may_be_empty) == (50, False)
    assert (by_name["description"].longest, by_name["description"].may_be_empty) == (300, True)


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_valid_and_answers_nothing_conditional(preset: str) -> None:
    answers = PRESETS[preset].answers
    conditional = {question.name for question in QUESTIONS if question.condition}

    assert check_answers(QUESTIONS, answers, "the preset") == answers
    assert not conditional & set(answers), "a flag could make such an answer an error"
    assert Draft202012Validator(SCHEMA).is_valid(dict(answers))


def test_every_choice_of_every_question_is_in_a_preset_or_a_default() -> None:
    # Otherwise presets would silently go stale when a question gets a new choice.
    used = {(name, value) for preset in PRESETS.values() for name, value in preset.answers.items()}
    used |= {(question.name, str(question.default)) for question in QUESTIONS}

    assert {("database", value) for value in CHOICES["database"]} <= used
    assert {("deployment", value) for value in CHOICES["deployment"]} <= used


@pytest.mark.parametrize(
    ("answers", "is_valid"),
    [
        ({}, True),
        ({"database": "mongodb", "mongodb_driver": "motor"}, True),
        ({"mongodb_driver": "motor"}, False),
        ({"database": "sqlite", "mongodb_driver": "motor"}, False),
        ({"database": "mongo"}, False),
        ({"database": True}, False),
        ({"databse": "sqlite"}, False),
        ({"project_name": ""}, False),
        ({"project_name": "x" * 50}, True),
        ({"project_name": "x" * 51}, False),
        ({"description": ""}, True),
        ({"description": "x" * 301}, False),
        ({"project_slug": "x"}, False),
    ],
)
def test_the_schema_and_the_command_agree(
    fastforge: RunFastForge, answers: dict[str, Any], is_valid: bool
) -> None:
    result = fastforge("new", "a", "--dry-run", "--answers", "-", stdin=yaml.safe_dump(answers))

    assert Draft202012Validator(SCHEMA).is_valid(answers) == is_valid
    assert (result.exit_code == 0) == is_valid


def test_a_condition_that_a_default_meets_needs_no_answer() -> None:
    first, second = (question for question in QUESTIONS if question.name in ("database", "cache"))
    conditional = replace(second, condition="database in ('sqlite', 'postgres')")

    validator = Draft202012Validator(answers_schema([first, conditional], [], TABLES))

    assert validator.is_valid({"cache": "ttl"})
    assert validator.is_valid({"cache": "ttl", "database": "postgres"})
    assert not validator.is_valid({"cache": "ttl", "database": "mongodb"})


def test_the_command_prints_the_schema(fastforge: RunFastForge) -> None:
    assert fastforge("options", "--json").document == SCHEMA


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(
    st.dictionaries(
        st.sampled_from([*CHOICES, "project_name", "other"]) | st.text() | st.integers(), ANYTHING
    )
)
@settings(deadline=None)
def test_any_answers_file_is_accepted_or_refused_with_a_message(answers: Mapping[str, object]) -> None:
    try:
        checked = check_answers(QUESTIONS, answers, "the file")
    except UserError as error:
        assert len(error.message.splitlines()) == 1
        assert error.hint
    else:
        assert checked == answers
        assert all(isinstance(value, str) for value in checked.values())

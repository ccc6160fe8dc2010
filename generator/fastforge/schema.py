"""A JSON Schema of the answers file, made from the questions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import Any

from fastforge.answers import Preset
from fastforge.questions import Question


def answers_schema(questions: Sequence[Question], presets: Iterable[Preset]) -> dict[str, Any]:
    """Return a JSON Schema (2020-12) that accepts the answers files that `fastforge new` accepts.

    What only Copier's validators know (reserved project names, control characters) is not in it.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Answers for fastforge new --answers FILE",
        "type": "object",
        "additionalProperties": False,
        "properties": {question.name: _property(question) for question in questions},
        "dependentSchemas": {
            question.name: _when_asked(question, questions) for question in questions if question.condition
        },
        "examples": [dict(preset.answers) for preset in presets],
    }


def _property(question: Question) -> dict[str, Any]:
    labels = [f"{value}: {label}" for value, label in question.choices.items()]
    schema: dict[str, Any] = {"type": "string", "description": "\n".join([question.help, *labels])}
    if question.choices:
        schema["enum"] = list(question.choices)
    elif not question.may_be_empty:
        schema["minLength"] = 1
    if question.longest:
        schema["maxLength"] = question.longest
    if question.default is not None:
        schema["default"] = question.default
    return schema


def _when_asked(question: Question, questions: Sequence[Question]) -> dict[str, Any]:
    """Return the schema of the other answers under which the question is asked, by trying them all."""
    from jinja2 import Environment, meta

    environment = Environment(autoescape=True)
    condition = str(question.condition)
    named = meta.find_undeclared_variables(environment.parse(f"{{{{ {condition} }}}}"))
    needed = [other for other in questions if other.name in named]
    is_asked = environment.compile_expression(condition)
    combinations = (
        dict(zip([other.name for other in needed], values, strict=True))
        for values in product(*(other.choices for other in needed))
    )
    allowed = [_exactly(answers, needed) for answers in combinations if is_asked(**answers)]
    return allowed[0] if len(allowed) == 1 else {"anyOf": allowed}


def _exactly(answers: dict[str, str], questions: Sequence[Question]) -> dict[str, Any]:
    """Return the schema of these answers; one that is the default may be left out."""
    defaults = {question.name: question.default for question in questions}
    return {
        "properties": {name: {"const": value} for name, value in answers.items()},
        "required": [name for name, value in answers.items() if value != defaults[name]],
    }

"""The JSON Schema of the answers file, generated from the questions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from fastforge.template.answers import Preset
from fastforge.template.grammar import Tables
from fastforge.template.questions import Question
from fastforge.template.resources import EXAMPLE

_NAME = "[a-z][a-z0-9]*(_[a-z0-9]+)*"
_REVISIONS: dict[str, Any] = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["id", "after", "steps"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "pattern": "^[0-9a-f]{4,32}$"},
            "after": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{0,40}$"},
            "steps": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        },
    },
}


def answers_schema(
    questions: Sequence[Question], presets: Iterable[Preset], tables: Tables
) -> dict[str, Any]:
    """Return a JSON Schema (2020-12) of the answers files that `fastforge new` accepts.

    It lacks the rules that only Copier's validators have: reserved names, control characters, contradictions.
    """
    lists = {"resources": _resources(tables), "revisions": _REVISIONS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Answers for fastforge new --answers FILE",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            question.name: _property(question) | lists.get(question.name, {}) for question in questions
        },
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


def _resources(tables: Tables) -> dict[str, Any]:
    limits = tables.limits
    name = {"type": "string", "maxLength": limits["name"], "pattern": f"^{_NAME}$"}
    fields = {"type": "string", "pattern": _field_pattern(tables)}
    mapping = {
        "type": "object",
        "required": ["name", "fields"],
        "additionalProperties": False,
        "properties": {
            "name": name | {"description": "The singular, such as order_line."},
            "plural": name | {"description": "If it is not formed by the rules of English."},
            "without": {
                "type": "array",
                "description": "The endpoints that are left out.",
                "items": {"enum": ["batch", "export", "summary"]},
                "uniqueItems": True,
            },
            "owned": {
                "type": "boolean",
                "description": "Whether callers see and change only the rows that they created.",
            },
            "fields": {"type": "array", "items": fields, "minItems": 1, "maxItems": limits["fields"]},
        },
    }
    line = {"type": "string", "description": f"The same as one line, such as: {EXAMPLE}"}
    return {
        "type": "array",
        "maxItems": limits["resources"],
        "items": {"anyOf": [mapping, line]},
        "default": tables.sample,
    }


def _field_pattern(tables: Tables) -> str:
    types = (_type_pattern(name, details) for name, details in tables.types.items())
    return f"^{_NAME}:({'|'.join(types)})$"


def _type_pattern(name: str, details: Mapping[str, Any]) -> str:
    of = details.get("of")
    argument = f"=({'|'.join(of)})" if isinstance(of, list) else "=[^:]+" if of else ""
    options = (_option_pattern(option, spec) for option, spec in details["options"].items())
    return f"{name}{argument}(:({'|'.join(options)}))*"


def _option_pattern(option: str, spec: object) -> str:
    match spec:
        case "flag":
            return option
        case list():
            return f"{option}=({'|'.join(spec)})"
        case dict():
            return f"{option}=[0-9]+"
        case _:
            return f"{option}=[^:]*"


def _when_asked(question: Question, questions: Sequence[Question]) -> dict[str, Any]:
    """Return the schema of the other answers with which the question is asked, by trying all of them."""
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
    """Return the schema of these answers. A default may be left out."""
    defaults = {question.name: question.default for question in questions}
    return {
        "properties": {name: {"const": value} for name, value in answers.items()},
        "required": [name for name, value in answers.items() if value != defaults[name]],
    }

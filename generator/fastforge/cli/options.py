"""`fastforge options`: list the questions."""

from __future__ import annotations

from typing import Annotated

import typer

from fastforge.cli.flags import QUESTIONS
from fastforge.errors import write_json
from fastforge.template.answers import load_presets
from fastforge.template.grammar import describe_grammar, load_tables
from fastforge.template.questions import Question


def options(
    json: Annotated[bool, typer.Option("--json", help="Print a JSON Schema of the answers file.")] = False,
) -> None:
    """List the questions and their choices."""
    presets, tables = load_presets(), load_tables()
    if json:
        from fastforge.template.schema import answers_schema

        write_json(answers_schema(QUESTIONS, presets.values(), tables))
        return
    print("\n\n".join(_describe(question) for question in QUESTIONS if not question.is_list))
    print("\n" + "\n".join(describe_grammar(tables)))
    print("\nPresets (fastforge new --preset NAME):")
    width = max(map(len, presets))
    for preset in presets.values():
        print(f"    {preset.name:<{width}}  {preset.help}")


def _describe(question: Question) -> str:
    width = max(map(len, question.choices), default=0)
    default = "computed from PATH" if question.default is None else question.default
    return "\n".join(
        [
            f"{question.name}  ({question.flag})",
            f"    {question.help}",
            *([f"    Asked only when {question.condition}."] if question.condition else []),
            *(f"    {value:<{width}}  {label}" for value, label in question.choices.items()),
            f"    Default: {default}",
        ]
    )

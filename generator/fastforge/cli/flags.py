"""One flag of `fastforge new` for each question of the template."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from fastforge.template.questions import Question, load_questions

QUESTIONS = load_questions()


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with a flag for each question, after its first parameter, instead of `**flags`."""
    first, *others, _flags = inspect.signature(command, eval_str=True).parameters.values()
    flags = [_parameter(question) for question in QUESTIONS if not question.is_list]
    command.__signature__ = inspect.Signature([first, *flags, *others])  # type: ignore[attr-defined]
    return command


def complete(values: Mapping[str, str], incomplete: str) -> list[tuple[str, str]]:
    """Return the values that a shell offers for what was typed, with their labels."""
    return [(value, label) for value, label in values.items() if value.startswith(incomplete)]


def _parameter(question: Question) -> inspect.Parameter:
    def completion(incomplete: str) -> list[tuple[str, str]]:
        return complete(question.choices, incomplete)

    option = typer.Option(
        question.flag,
        metavar="CHOICE" if question.choices else "TEXT",
        help=_help(question),
        autocompletion=completion,
        rich_help_panel="Answers",
    )
    return inspect.Parameter(
        question.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option]
    )


def _help(question: Question) -> str:
    asked = [f"Only when {question.condition}."] if question.condition else []
    choices = [f"{value} - {label}" for value, label in question.choices.items()]
    default = [f"Default: {question.default}"] if question.default else []
    # Rich takes an empty line for a line break, and brackets for markup.
    return "\n\n".join([" ".join([question.help, *asked]), *choices, *default]).replace("[", r"\[")

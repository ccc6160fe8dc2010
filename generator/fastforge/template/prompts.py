"""Asks for resources on a terminal: one line of the grammar for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastforge.errors import UserError
from fastforge.template.grammar import grammar
from fastforge.template.resources import EXAMPLE, Resource, parse_line


def ask_for_resources() -> list[Resource]:
    """Ask for resources line by line until an empty line, and return them; none if the first line is empty.

    Raises:
        EOFError: Standard input ended.
        KeyboardInterrupt: The user left with Ctrl-C.
    """
    from questionary import text

    resources: list[Resource] = []
    question = f"What does it serve? Enter for the sample, or a resource such as: {EXAMPLE}"
    while line := text(question, validate=_checked_after(resources)).unsafe_ask().strip():
        resources.append(parse_line(line))
        question = "Another resource? Enter to go on."
    return resources


def _checked_after(resources: Sequence[Resource]) -> Callable[[str], str | bool]:
    """Return what says whether a line may follow these resources: True, or what is wrong with it."""

    def check(line: str) -> str | bool:
        try:
            return not line.strip() or grammar().fault_of([*resources, parse_line(line)]) or True
        except UserError as error:
            return f"{error.message} {error.hint}"

    return check

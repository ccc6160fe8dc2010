"""Ask on a terminal for the place of a project and for its resources, which Copier cannot ask for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from signal import SIGINT

from fastforge.errors import Interrupted, UserError
from fastforge.template.grammar import grammar
from fastforge.template.resources import EXAMPLE, Resource, parse_line


def ask_for_path() -> str:
    """Ask for the directory to generate, and return the answer.

    Raises:
        UserError: Standard input ended.
        Interrupted: The user left with Ctrl-C.
    """
    from questionary import text

    try:
        with prompts_on_standard_error():
            return str(text("Directory to generate, such as myapi:").unsafe_ask())
    except EOFError as error:
        raise UserError(
            "PATH is missing.", "Give the directory to generate, such as: fastforge new myapi"
        ) from error
    except KeyboardInterrupt as error:
        raise Interrupted(SIGINT) from error


def ask_for_resources() -> list[Resource]:
    """Ask for one resource per line until a line is empty, and return them.

    Raises:
        EOFError: Standard input ended.
        KeyboardInterrupt: The user left with Ctrl-C.
    """
    from questionary import text

    resources: list[Resource] = []
    question = f"Which resources does it serve? Enter for the sample, or one such as: {EXAMPLE}"
    while line := text(question, validate=_checked_after(resources)).unsafe_ask().strip():
        resources.append(parse_line(line))
        question = "Another resource? Enter to continue."
    return resources


@contextmanager
def prompts_on_standard_error() -> Iterator[None]:
    """Draw the questions on standard error, so that standard output can be redirected."""
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.output import create_output

    with create_app_session(output=create_output(stdout=sys.stderr)):
        yield


def _checked_after(resources: Sequence[Resource]) -> Callable[[str], str | bool]:
    """Return a function that returns True if a line can follow these resources, or its fault."""

    def check(line: str) -> str | bool:
        try:
            return not line.strip() or grammar().fault_of([*resources, parse_line(line)]) or True
        except UserError as error:
            return f"{error.message} {error.hint}"

    return check

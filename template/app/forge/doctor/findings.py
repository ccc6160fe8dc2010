"""Outcomes of checks: findings, and checks that were not possible."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from app.settings import Settings

Level = Literal["error", "warning"]


class Finding(NamedTuple):
    """A problem and its fix. With an `error`, the service does not work as intended, or is unsafe.

    Neither text contains a secret.
    """

    check: str
    level: Level
    problem: str
    fix: str


class NotChecked(NamedTuple):
    """A check that was not possible, and the reason."""

    check: str
    reason: str


Outcomes = Iterator[Finding | NotChecked]


class Context(NamedTuple):
    """The input of checks. `replaced` names the settings that are invalid and have other values here."""

    settings: "Settings"
    replaced: frozenset[str]
    is_production: bool


def finding_of(check: str, level: Level, message: str) -> Finding:
    """Return the finding of a message that names the problem in its first sentence, and then the next step."""
    problem, _, fix = message.partition(". ")
    return Finding(check, level, f"{problem.removesuffix('.')}.", fix)


def described(error: BaseException) -> str:
    """Return the error on one line. Only errors in code have their text, because others may repeat a secret."""
    text = " ".join(str(error).split())
    is_in_code = isinstance(error, ImportError | SyntaxError | NameError | AttributeError)
    return f"{type(error).__name__}: {text}" if is_in_code else type(error).__name__


Check = Callable[[Context], Outcomes]

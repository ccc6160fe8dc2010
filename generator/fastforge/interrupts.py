"""Ctrl-C and SIGTERM: both end the command the same way, and neither ends it half-way."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from fastforge.errors import Interrupted

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

_WATCHED = (signal.SIGINT, signal.SIGTERM)

_pending: int | None = None
_past_the_point_of_no_return = False
_is_held = False


def watch() -> None:
    """Turn the first SIGINT or SIGTERM into `Interrupted`; later ones must not interrupt the clean-up."""
    for number in _WATCHED:
        # A command started with SIGINT ignored (nohup, a background job) keeps ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    sys.unraisablehook = _report_unraisable


def raise_pending() -> None:
    """Raise `Interrupted` where a signal came but a callback swallowed its exception."""
    if _pending is not None:
        raise Interrupted(_pending)


@contextmanager
def held() -> Iterator[None]:
    """Keep signals from interrupting the block; one that comes is left to `raise_pending`."""
    global _is_held
    _is_held = True
    try:
        yield
    finally:
        _is_held = False


def pass_the_point_of_no_return() -> None:
    """From here on the command finishes, whatever signal comes.

    Raises:
        Interrupted: A signal came before.
    """
    global _past_the_point_of_no_return
    raise_pending()
    _past_the_point_of_no_return = True
    for number in _WATCHED:
        # Python puts the default action back while it exits, which would kill a command that has succeeded.
        signal.signal(number, signal.SIG_IGN)


def _handle(number: int, _frame: FrameType | None) -> None:
    global _pending
    if _pending is None and not _past_the_point_of_no_return:
        _pending = number
        if not _is_held:
            raise Interrupted(number)


def _report_unraisable(problem: UnraisableHookArgs) -> None:
    # A signal that lands in a weak-reference callback; `raise_pending` honours it later.
    if not isinstance(problem.exc_value, Interrupted):
        sys.__unraisablehook__(problem)

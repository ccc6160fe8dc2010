"""Ctrl-C and SIGTERM. Both end the command in the same way, and neither leaves partial work."""

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
    """Raise `Interrupted` at the first SIGINT or SIGTERM. Later ones do not interrupt the clean-up."""
    for number in _WATCHED:
        # A command that was started with SIGINT ignored (nohup, a background job) keeps ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    sys.unraisablehook = _report_unraisable


def raise_pending() -> None:
    """Raise `Interrupted` if a signal came while signals were held, or if its exception was swallowed."""
    if _pending is not None:
        raise Interrupted(_pending)


@contextmanager
def held() -> Iterator[None]:
    """Keep signals from interrupting the block. `raise_pending` raises one that came."""
    global _is_held
    _is_held = True
    try:
        yield
    finally:
        _is_held = False


def pass_the_point_of_no_return() -> None:
    """Ignore signals from now on, so that the command finishes.

    Raises:
        Interrupted: A signal came before.
    """
    global _past_the_point_of_no_return
    raise_pending()
    _past_the_point_of_no_return = True
    for number in _WATCHED:
        # At its exit, Python restores the default action, which would kill a command that has succeeded.
        signal.signal(number, signal.SIG_IGN)


def _handle(number: int, _frame: FrameType | None) -> None:
    global _pending
    if _pending is None and not _past_the_point_of_no_return:
        _pending = number
        if not _is_held:
            raise Interrupted(number)


def _report_unraisable(problem: UnraisableHookArgs) -> None:
    # The signal came during a weak-reference callback. `raise_pending` raises it later.
    if not isinstance(problem.exc_value, Interrupted):
        sys.__unraisablehook__(problem)

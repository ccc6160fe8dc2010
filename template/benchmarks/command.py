"""How the commands for load and profiles take their numbers, and how they end."""

import argparse
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from benchmarks.errors import CannotMeasure
from tests.errors import NoDatabase

INTERRUPTED = 130


def positive_integer(text: str) -> int:
    """Return the number. Raises `ArgumentTypeError`."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def finish(work: Callable[[], int]) -> NoReturn:
    """Do the work. Raises `SystemExit`: what it returns, 1 and a line where it cannot be done, 130 on Ctrl-C."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(work())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (CannotMeasure, NoDatabase) as error:
        sys.exit(f"{error} {error.hint}".strip())


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt

"""The end of the kit's commands: signals and errors become one line and an exit code."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from fastforge_kit.errors import CannotMeasure, Interrupted, tell

# Windows has no SIGHUP.
SIGNALS = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


def finish(work: Callable[[], int], *, as_json: bool = False) -> NoReturn:
    """Do the work. Raises `SystemExit` with its result, 1 if it cannot be done, or 128 and the signal's number."""
    for number in SIGNALS:
        # A command started with a signal ignored (nohup, a background job) keeps ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        sys.exit(work())
    except (CannotMeasure, Interrupted) as error:
        sys.exit(tell(error, as_json=as_json))


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal must not interrupt the clean-up.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)

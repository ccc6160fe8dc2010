"""`python -m benchmarks`: how fast this service is on this machine, against its targets, and what its tunings bring."""

import signal
import sys
from types import FrameType
from typing import NoReturn

from benchmarks.errors import Interrupted, tell

# Windows has no SIGHUP.
SIGNALS = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}


def main() -> NoReturn:
    """Measure what the command line asks for, and exit."""
    for number in SIGNALS:
        # A command started with a signal ignored (nohup, a background job) keeps ignoring it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    arguments = sys.argv[1:]
    try:
        # Here, so that a signal while this is imported is answered too.
        from benchmarks.run import run

        sys.exit(run(arguments))
    except Interrupted as error:
        sys.exit(tell(error, as_json="--json" in arguments))


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    # A second signal must not interrupt the clean-up.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


if __name__ == "__main__":
    main()

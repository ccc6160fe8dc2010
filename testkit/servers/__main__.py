"""`python -m testkit.servers` runs all servers until Ctrl-C, SIGTERM, or until a file's lock is free.

It prints one JSON document when all of them are ready: each kind's URL, version and origin, or
its error. Test runs with several processes share their servers this way.
"""

import argparse
import fcntl
import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from testkit.servers.errors import ServerUnavailable
from testkit.servers.nginx import Nginx
from testkit.servers.running import KINDS, AnyServer, describe, open_servers


def main() -> None:
    """Run the servers until they are no longer needed."""
    arguments = _parser().parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _leave)
    with open_servers(arguments.kinds or KINDS) as servers:
        print(json.dumps({kind: as_data(outcome) for kind, outcome in servers.outcomes.items()}), flush=True)
        print(describe(servers), file=sys.stderr, flush=True)
        _wait(arguments.while_locked)


def as_data(outcome: AnyServer | ServerUnavailable) -> dict[str, Any]:
    """Return what another process needs to use a server."""
    if isinstance(outcome, ServerUnavailable):
        return {"error": str(outcome)}
    where = str(outcome.path) if isinstance(outcome, Nginx) else outcome.url
    return {"url": where, "version": outcome.version, "origin": outcome.origin}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m testkit.servers", description="Run the servers for the tests."
    )
    parser.add_argument("kinds", nargs="*", choices=[[], *KINDS], help="the servers to run (all)")
    parser.add_argument(
        "--while-locked", type=Path, metavar="FILE", help="end when the lock on FILE is released"
    )
    return parser


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _wait(lock_file: Path | None) -> None:
    if lock_file is None:
        signal.pause()
        return
    with lock_file.open() as lock:
        # The kernel releases it when the process that holds it ends, however that ends.
        fcntl.flock(lock, fcntl.LOCK_EX)


if __name__ == "__main__":
    main()

"""`python -m benchmarks`: how fast this service is on this machine, against its targets, and what its tunings bring."""

import sys

from benchmarks.ending import finish


def main() -> None:
    """Measure what the command line asks for. Raises `SystemExit` as `finish` says."""
    arguments = sys.argv[1:]
    finish(lambda: _run(arguments), as_json="--json" in arguments)


def _run(arguments: list[str]) -> int:
    # Here, so that a signal while this is imported is answered too.
    from benchmarks.command import run

    return run(arguments)


if __name__ == "__main__":
    main()

"""`python -m fastforge_kit`: measure the service on this machine, against its targets, and each tuning on and off."""

import sys

from fastforge_kit.ending import finish


def main() -> None:
    """Measure what the command line asks for. Raises `SystemExit` as `finish` says."""
    arguments = sys.argv[1:]
    finish(lambda: _run(arguments), as_json="--json" in arguments)


def _run(arguments: list[str]) -> int:
    # Here, so that a signal while this is imported is answered too.
    from fastforge_kit.command import run

    return run(arguments)


if __name__ == "__main__":
    main()

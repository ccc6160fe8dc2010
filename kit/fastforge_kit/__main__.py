"""`python -m fastforge_kit`: measure the service against its targets, and each optimization on and off."""

import sys

from fastforge_kit.ending import finish


def main() -> None:
    """Measure what the command line selects. Raises `SystemExit` as `finish` does."""
    arguments = sys.argv[1:]
    finish(lambda: _run(arguments), as_json="--json" in arguments)


def _run(arguments: list[str]) -> int:
    # Imported here, so that a signal during the import is handled too.
    from fastforge_kit.command import run

    return run(arguments)


if __name__ == "__main__":
    main()

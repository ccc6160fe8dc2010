"""The `fastforge` command: runs the command line and answers whatever it raises."""

from __future__ import annotations

import gc
import os
import sys

from fastforge import errors, interrupts


def main() -> None:
    """Run the command line in `sys.argv` and exit."""
    # Most of the run is imports, whose objects live to the end: collecting costs 5% and frees nothing.
    gc.disable()
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        interrupts.watch()
        _never_fail_to_print()
        from fastforge.cli.app import run

        exit_code = run(arguments)
        _flush()
    except BaseException as error:  # noqa: BLE001 (all of them are answered here)
        exit_code = _answer(error, as_json="--json" in arguments)
    return exit_code


def _answer(error: BaseException, *, as_json: bool) -> int:
    try:
        exit_code = errors.answer_error(error, as_json=as_json)
        _flush()
    except OSError:
        # Nobody reads standard output any more; without this Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"Error: {error}", file=sys.stderr)
        return errors.EXIT_WORK_FAILED
    return exit_code


def _flush() -> None:
    if sys.stdout:
        sys.stdout.flush()


def _never_fail_to_print() -> None:
    """Spell what the locale's encoding lacks as an escape instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


if __name__ == "__main__":
    main()

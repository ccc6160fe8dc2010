"""The `fastforge` command: run the command line, and report its errors."""

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
    except BaseException as error:  # noqa: BLE001 (each is reported)
        exit_code = _report(error, as_json="--json" in arguments)
    return exit_code


def _report(error: BaseException, *, as_json: bool) -> int:
    try:
        exit_code = errors.report(error, as_json=as_json)
        _flush()
    except OSError:
        # Standard output is closed. Without this, Python reports that a second time when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        print(f"Error: {error}", file=sys.stderr)
        return errors.EXIT_WORK_FAILED
    return exit_code


def _flush() -> None:
    if sys.stdout:
        sys.stdout.flush()


def _never_fail_to_print() -> None:
    """Escape characters that the locale's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


if __name__ == "__main__":
    main()

"""Errors, and the one place that reports them."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable

EXIT_WORK_FAILED = 1
EXIT_WRONG_COMMAND_LINE = 2
# Done, and something is left to you: a conflict to resolve, or a newer template to take.
EXIT_ATTENTION = 3

_NO_SPACE_LEFT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class UserError(Exception):
    """A request that cannot be carried out: the problem, and what to do instead."""

    exit_code = EXIT_WRONG_COMMAND_LINE

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class WorkFailed(UserError):
    """A valid command that could not be completed."""

    exit_code = EXIT_WORK_FAILED


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM. It is not an `Exception`, so that no handler mistakes it for a failure."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint with the known name that is most like this one, or an empty string."""
    import difflib

    matches = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {matches[0]}?" if matches else ""


def report(error: BaseException, *, as_json: bool) -> int:
    """Print the error, on one line or as one JSON document, and return the exit code."""
    message, hint, exit_code = _in_words(error)
    if os.environ.get("FASTFORGE_DEBUG"):
        import traceback

        traceback.print_exception(error)
    if as_json:
        write_json({"error": message, "hint": hint})
    else:
        print(f"Error: {message} {hint}", file=sys.stderr)
    return exit_code


def write_json(document: object) -> None:
    """Print the one JSON document of this command, in ASCII, which every locale can print."""
    print(json.dumps(document, indent=2))


def _in_words(error: BaseException) -> tuple[str, str, int]:
    match error:
        case UserError():
            return error.message, error.hint, error.exit_code
        case Interrupted():
            return "Interrupted.", "Nothing was changed; run the command again.", error.exit_code
        # Rich exits if the reader of its help has gone.
        case BrokenPipeError() | SystemExit(__context__=BrokenPipeError()):
            return "The reader closed the output.", "Read all of it.", EXIT_WORK_FAILED
        case OSError():
            return *_operating_system_error(error), EXIT_WORK_FAILED
        case _ if hasattr(error, "format_message"):
            return _wrong_usage(error)
        case _:
            summary = f"{type(error).__name__}: {error}".splitlines()[0]
            hint = "This is a bug in FastForge. Report it with the traceback that FASTFORGE_DEBUG=1 prints."
            return f"Unexpected {summary}.", hint, EXIT_WORK_FAILED


def _operating_system_error(error: OSError) -> tuple[str, str]:
    reason = error.strerror or str(error)
    where = f" ({os.fsdecode(error.filename)!r})" if isinstance(error.filename, str | bytes) else ""
    if error.errno in _NO_SPACE_LEFT:
        return f"The disk is full: {reason}{where}.", "Free some space, or choose another PATH."
    return f"{reason}{where}.", "Check the path and its permissions."


def _wrong_usage(error: BaseException) -> tuple[str, str, int]:
    """Rephrase Typer's message about a command line that it could not parse."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "fastforge"
    exit_code: int = getattr(error, "exit_code", EXIT_WRONG_COMMAND_LINE)
    help_hint = f"See: {command} --help"
    if option := getattr(error, "option_name", None):
        known = [name for parameter in context.command.params for name in parameter.opts] if context else []
        if option in known:
            return f"{option} needs a value.", help_hint, exit_code
        hint = did_you_mean(option, known) or help_hint
        return f"Unknown option {option!r} of '{command}'.", hint, exit_code
    message = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    return message, help_hint, exit_code

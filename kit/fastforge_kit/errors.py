"""Errors that prevent a measurement or end it early, and their output."""

import json
import sys


class CannotMeasure(Exception):
    """Something prevents the measurement: the message names it in one line, `hint` has the next step."""

    exit_code = 1

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class WrongCommandLine(CannotMeasure):
    """The command line names something that does not exist."""

    exit_code = 2


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM. Not an `Exception`, so that no handler mistakes it for a failure."""

    hint = "Run the command again for the rest."

    def __init__(self, signal_number: int) -> None:
        super().__init__("Interrupted.")
        self.exit_code = 128 + signal_number


def in_words(error: BaseException) -> dict[str, str]:
    """Return the error in one line, and the next step."""
    message = " ".join(str(error).split()) or type(error).__name__
    # Messages of other programs have no full stop.
    message += "" if message.endswith((".", "!", "?")) else "."
    return {"error": message, "hint": getattr(error, "hint", "Run the command again.")}


def exit_code(error: BaseException | None) -> int:
    """Return the exit code of a command that ended with the error."""
    return 0 if error is None else int(getattr(error, "exit_code", 1))


def tell(error: BaseException, *, as_json: bool) -> int:
    """Print the error on one line, or as one JSON document on standard output, and return the exit code."""
    words = in_words(error)
    if as_json:
        print(json.dumps(words, indent=2))
    else:
        print(f"Error: {words['error']} {words['hint']}", file=sys.stderr)
    return exit_code(error)

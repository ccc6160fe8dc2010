"""The error if tests and measurements have no database."""


class NoDatabase(Exception):
    """The message describes the problem in one line, and `hint` the next step."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

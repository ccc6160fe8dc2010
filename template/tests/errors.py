"""What keeps tests and measurements from having a database."""


class NoDatabase(Exception):
    """The message says in a line what is wrong, `hint` what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint

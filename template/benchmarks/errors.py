"""What keeps a measurement from being made."""


class CannotMeasure(Exception):
    """The message says in one line what is wrong, and the next step."""

"""Errors of servers; their messages name the server and the next step."""

from collections.abc import Iterable


class ServerUnavailable(Exception):
    """A server cannot be had: the message names it, what was tried and the command that gets it."""

    def __init__(self, title: str, tried: Iterable[str], remedy: str) -> None:
        lines = [
            f"{title} is not available.",
            *(f"  tried: {reason}" for reason in tried),
            f"  get it: {remedy}",
        ]
        super().__init__("\n".join(lines))


class NotUsable(Exception):
    """One way to get a server does not work here; the next is tried."""


class ServerDied(Exception):
    """A server ended before it answered; the message carries the end of its log."""

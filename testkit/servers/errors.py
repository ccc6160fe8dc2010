"""Errors of servers; their messages name the server and the next step."""

from collections.abc import Iterable


class ServerUnavailable(Exception):
    """A server is not available: the message names it, the sources that were tried, and the next step."""

    def __init__(self, title: str, tried: Iterable[str], remedy: str) -> None:
        lines = [
            f"{title} is not available.",
            *(f"  tried: {reason}" for reason in tried),
            f"  get it: {remedy}",
        ]
        super().__init__("\n".join(lines))


class NotUsable(Exception):
    """A source of a server does not work here; the next one is tried."""


class ServerDied(Exception):
    """A server ended before it was ready; the message contains the end of its log."""

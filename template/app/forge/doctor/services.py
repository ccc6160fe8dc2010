"""Findings that checks of several servers have in common."""

from datetime import UTC, datetime
from textwrap import shorten

from app.forge.doctor.findings import Finding, Outcomes

CLOCK_SECONDS = 5.0
# PyMongo describes all servers.
LONGEST_CAUSE = 300


def unreachable(server: str, setting: str, cause: str) -> Finding:
    """Return the finding about a server that does not respond."""
    return Finding(
        f"{server}.unreachable",
        "error",
        f"The {server} does not respond: {shorten(cause, LONGEST_CAUSE)}",
        f"Start it, or correct {setting}. Check the network and its firewall.",
    )


def refused(server: str, setting: str, cause: str) -> Finding:
    """Return the finding about a server that refuses the user or the password."""
    return Finding(
        f"{server}.refused",
        "error",
        f"The {server} refuses the connection: {cause}",
        f"Correct the user and the password in {setting}, or create that user.",
    )


def check_connections(server: str, setting: str, wanted: int, available: int) -> Outcomes:
    """Yield a finding if the workers together may open more connections than the server still accepts."""
    if wanted > available:
        yield Finding(
            f"{server}.connections",
            "error",
            f"The workers may open {wanted} connections to the {server}, and it accepts {max(0, available)} more.",
            f"Lower {setting}, or raise the limit of the server.",
        )


def check_clock(server: str, time: datetime) -> Outcomes:
    """Yield a finding if the clock of a server and that of this machine differ."""
    seconds = abs((datetime.now(UTC) - time).total_seconds())
    if seconds > CLOCK_SECONDS:
        yield Finding(
            "clock.differs",
            "warning",
            f"The clocks of this machine and of the {server} differ by {seconds:.0f} s.",
            "Synchronize both: timedatectl set-ntp true",
        )


def wrong_schema(cause: str) -> Finding:
    """Return the finding about tables that do not fit the resources."""
    return Finding(
        "database.schema",
        "error",
        f"The tables do not fit the resources of the service: {cause}",
        "Run make migrate. If all migrations have run, add one: make revision MESSAGE=…",
    )

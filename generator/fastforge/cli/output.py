"""Output for people. Programs read standard output."""

from __future__ import annotations

import sys


def tell(*lines: str) -> None:
    """Print to standard error, unless it is closed."""
    if sys.stderr:
        print("\n".join(lines), file=sys.stderr)

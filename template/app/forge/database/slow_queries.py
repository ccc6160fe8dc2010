"""Statements that take long, in the log with the database's plan, where SLOW_QUERY_MS is set.

The values that a request brought are in neither.
"""

import logging

from pydantic import PositiveInt

from app.forge.environment import Environment

logger = logging.getLogger(__name__)


class SlowQuerySettings(Environment):
    """From how many milliseconds on a statement is logged; without it nothing is timed."""

    slow_query_ms: PositiveInt | None = None


def log_slow_query(statement: str, seconds: float, plan: str) -> None:
    """Log a statement, what it took and how the database goes about it."""
    milliseconds = round(seconds * 1_000, 3)
    told = {"statement": statement.strip(), "milliseconds": milliseconds, "plan": plan}
    logger.warning("A statement took %s ms.", milliseconds, extra=told)

"""Slow statements, logged with the database's plan if SLOW_QUERY_MS is set.

Neither contains values of a request.
"""

import logging

from pydantic import PositiveInt

from app.forge.environment import Environment

logger = logging.getLogger(__name__)


class SlowQuerySettings(Environment):
    """The duration from which a statement is logged; without it nothing is timed."""

    slow_query_ms: PositiveInt | None = None


def log_slow_query(statement: str, seconds: float, plan: str) -> None:
    """Log a statement with its duration and its plan."""
    milliseconds = round(seconds * 1_000, 3)
    told = {"statement": statement.strip(), "milliseconds": milliseconds, "plan": plan}
    logger.warning("A statement took %s ms.", milliseconds, extra=told)

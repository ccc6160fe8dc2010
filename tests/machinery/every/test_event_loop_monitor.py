"""Code that blocks the event loop is measured, and logged while it does."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from app.forge.observability.event_loop_monitor import watched_event_loop

AXES: tuple[str, ...] = ()

BLOCKED_SECONDS = 0.04


def stacks_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(record, "stack", "") for record in caplog.records]


def lag_over(seconds: str) -> float:
    total = REGISTRY.get_sample_value("event_loop_lag_seconds_count") or 0
    return total - (REGISTRY.get_sample_value("event_loop_lag_seconds_bucket", {"le": seconds}) or 0)


def a_slow_calculation() -> None:
    time.sleep(4 * BLOCKED_SECONDS)


async def test_code_that_blocks_the_loop_is_logged_once_with_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with watched_event_loop(BLOCKED_SECONDS):
        await asyncio.sleep(0)
        a_slow_calculation()
        await asyncio.sleep(0.01)
    (stack,) = stacks_in(caplog)
    assert "in a_slow_calculation" in stack


async def test_the_lag_is_a_metric() -> None:
    before = lag_over("0.1")
    with watched_event_loop(BLOCKED_SECONDS):
        a_slow_calculation()
        await asyncio.sleep(0.01)
    assert lag_over("0.1") == before + 1


async def test_a_loop_that_only_waits_is_not_blocked(caplog: pytest.LogCaptureFixture) -> None:
    # Longer, because on a busy machine nothing runs for a while.
    limit_seconds = 6 * BLOCKED_SECONDS
    with watched_event_loop(limit_seconds):
        await asyncio.sleep(2 * limit_seconds)
    assert not caplog.records

"""Verdicts on figures, given their noise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fastforge_kit.verdicts import INCONCLUSIVE, AtLeast, AtMost, Bound

from benchmarks.goals.latency import SLOWEST, TAIL, rows_of
from benchmarks.goals.rows import Row, row_from, row_of
from benchmarks.load.open_loop import Outcome


@pytest.mark.parametrize(
    ("bound", "figures", "verdict"),
    [
        (AtMost(1.5), [1.2, 1.3, 1.4], "met"),
        (AtMost(1.5), [1.6, 1.7, 1.8], "missed"),
        (AtMost(1.5), [1.3, 1.5, 1.7], INCONCLUSIVE),
        (AtLeast(20), [21, 22, 23], "met"),
        (AtLeast(20), [17, 18, 19], "missed"),
        (AtLeast(20), [18, 20, 23], INCONCLUSIVE),
        (AtMost(250), [250.1], "missed"),
        (None, [1.0, 2.0], ""),
    ],
)
def test_a_goal_is_decided_if_the_middle_half_is_on_one_side(
    bound: Bound | None, figures: list[float], verdict: str
) -> None:
    assert row_of("a figure", "a baseline", bound, figures).verdict == verdict


def test_a_row_survives_json() -> None:
    row = row_of("a figure", "a baseline", AtLeast(1_000), [1.0, 1.5, 1.75], "MB", {"cpu_us": 3.5})
    assert row_from(row.as_data()) == row


def _latency_rows(
    latencies: list[float], late: list[float], busy: float = 0.2, control: Sequence[float] = (0.3,) * 600
) -> dict[str, Row]:
    outcome = Outcome(latencies_ms=latencies, late_ms=late)
    controls = {"constant": (0.3,) * 600, "asyncpg": control}
    return {row.title: row for row in rows_of(outcome, controls, peak=2_000, busy=busy)}


def test_a_slow_request_misses_the_goal() -> None:
    rows = _latency_rows([2.0] * 1_199 + [400.0], [0.1] * 1_200)
    assert rows[TAIL].verdict == "met"
    assert rows[SLOWEST].verdict == "missed"


def test_a_slow_request_is_inconclusive_if_the_generator_itself_was_late() -> None:
    rows = _latency_rows([2.0] * 1_199 + [400.0], [0.1] * 1_199 + [390.0])
    assert rows[SLOWEST].verdict == INCONCLUSIVE
    assert "390 ms" in rows[SLOWEST].reason


def test_a_persistent_tail_is_not_noise() -> None:
    rows = _latency_rows([2.0] * 1_100 + [40.0] * 100, [0.1] * 1_200)
    assert rows[TAIL].measured == 20
    assert rows[TAIL].verdict != "met"


TAIL_OF_TWENTY = [2.0, 2.0, 2.0, 2.0, 2.0, 40.0] * 200


def test_a_tail_that_bare_servers_also_have_is_inconclusive() -> None:
    rows = _latency_rows(TAIL_OF_TWENTY, [0.1] * 1_200, control=[0.3] * 590 + [12.0] * 10)
    assert rows[TAIL].verdict == INCONCLUSIVE
    assert "12 and 12 ms with asyncpg" in rows[TAIL].reason


def test_a_tail_that_a_bare_server_does_not_have_misses_the_goal() -> None:
    # Its p99 is ten times its own median, but not five times that of the service.
    rows = _latency_rows(TAIL_OF_TWENTY, [0.1] * 1_200, control=[0.3] * 580 + [3.0] * 20)
    assert rows[TAIL].verdict == "missed"


def test_a_tail_within_the_goal_is_met_whatever_a_bare_server_does() -> None:
    rows = _latency_rows([2.0] * 1_200, [0.1] * 1_200, control=[0.3] * 500 + [400.0] * 100)
    assert {row.verdict for row in rows.values()} == {"met"}


def test_a_slow_request_is_inconclusive_if_a_bare_server_was_as_slow() -> None:
    rows = _latency_rows([2.0] * 1_199 + [400.0], [0.1] * 1_200, control=[0.3] * 599 + [300.0])
    assert rows[SLOWEST].verdict == INCONCLUSIVE


def test_a_busy_generator_makes_figures_inconclusive() -> None:
    rows = _latency_rows([2.0] * 1_200, [0.1] * 1_200, busy=0.95)
    assert {row.verdict for row in rows.values()} == {INCONCLUSIVE}

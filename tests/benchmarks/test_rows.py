"""What is said of a figure and its noise."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from benchmarks.goals.latency import SLOWEST, TAIL, rows_of
from benchmarks.goals.rows import UNDECIDED, Bound, Row, row_from, row_of


@pytest.mark.parametrize(
    ("bound", "figures", "said"),
    [
        (Bound(1.5), [1.2, 1.3, 1.4], "met"),
        (Bound(1.5), [1.6, 1.7, 1.8], "missed"),
        (Bound(1.5), [1.3, 1.5, 1.7], UNDECIDED),
        (Bound(20, is_upper=False), [21, 22, 23], "met"),
        (Bound(20, is_upper=False), [17, 18, 19], "missed"),
        (Bound(20, is_upper=False), [18, 20, 23], UNDECIDED),
        (Bound(250), [250.1], "missed"),
        (None, [1.0, 2.0], ""),
    ],
)
def test_a_goal_is_decided_where_the_middle_half_lies_on_one_side(
    bound: Bound | None, figures: list[float], said: str
) -> None:
    assert row_of("a figure", bound, figures).verdict == said


def test_a_row_survives_json() -> None:
    row = row_of("a figure", Bound(2), [1.0, 1.5, 1.75], "MB", {"cpu_us": 3.5})
    assert row_from(row.as_data()) == row


def _latency_rows(
    latencies: list[float], late: list[float], busy: float = 0.2, control: Sequence[float] = (0.3,) * 600
) -> dict[str, Row]:
    outcome = {"latencies_ms": latencies, "late_ms": late}
    controls = {"constant": (0.3,) * 600, "asyncpg": control}
    return {row.title: row for row in rows_of(outcome, controls, saturation=2_000, busy=busy)}


def test_a_slow_request_misses_the_goal() -> None:
    rows = _latency_rows([2.0] * 1_199 + [400.0], [0.1] * 1_200)
    assert rows[TAIL].verdict == "met"
    assert rows[SLOWEST].verdict == "missed"


def test_a_slow_request_decides_nothing_where_the_generator_itself_was_late() -> None:
    rows = _latency_rows([2.0] * 1_199 + [400.0], [0.1] * 1_199 + [390.0])
    assert rows[SLOWEST].verdict == UNDECIDED
    assert "390 ms" in rows[SLOWEST].reason


def test_a_tail_of_some_time_is_no_noise() -> None:
    rows = _latency_rows([2.0] * 1_100 + [40.0] * 100, [0.1] * 1_200)
    assert rows[TAIL].measured == 20
    assert rows[TAIL].verdict != "met"


TAIL_OF_TWENTY = [2.0, 2.0, 2.0, 2.0, 2.0, 40.0] * 200


def test_a_tail_that_a_bare_server_has_too_decides_nothing() -> None:
    rows = _latency_rows(TAIL_OF_TWENTY, [0.1] * 1_200, control=[0.3] * 590 + [12.0] * 10)
    assert rows[TAIL].verdict == UNDECIDED
    assert "12 and 12 ms with asyncpg" in rows[TAIL].reason


def test_a_tail_that_a_bare_server_has_not_misses_the_goal() -> None:
    # Its p99 is ten times its own median, and no reason for five times that of the service.
    rows = _latency_rows(TAIL_OF_TWENTY, [0.1] * 1_200, control=[0.3] * 580 + [3.0] * 20)
    assert rows[TAIL].verdict == "missed"


def test_a_tail_within_the_goal_is_met_whatever_a_bare_server_does() -> None:
    rows = _latency_rows([2.0] * 1_200, [0.1] * 1_200, control=[0.3] * 500 + [400.0] * 100)
    assert {row.verdict for row in rows.values()} == {"met"}


def test_a_slow_request_decides_nothing_where_a_bare_server_was_as_slow() -> None:
    rows = _latency_rows([2.0] * 1_199 + [400.0], [0.1] * 1_200, control=[0.3] * 599 + [300.0])
    assert rows[SLOWEST].verdict == UNDECIDED


def test_a_busy_generator_decides_nothing() -> None:
    rows = _latency_rows([2.0] * 1_200, [0.1] * 1_200, busy=0.95)
    assert {row.verdict for row in rows.values()} == {UNDECIDED}

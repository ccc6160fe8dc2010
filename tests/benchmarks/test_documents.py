"""Stored rows, and the documents made from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastforge_kit.verdicts import AtLeast, AtMost

from benchmarks.goals.catalogue import READ_BY_BLOG, READ_ONE
from benchmarks.goals.rows import inconclusive, row_of
from benchmarks.reporting.documents import (
    DOCUMENTS,
    RESULTS,
    Results,
    advice_table,
    goals_table,
    load,
    parts_of,
    with_parts,
)
from benchmarks.reporting.plots import cpu_bars, for_light_and_dark, goal_bars
from benchmarks.reporting.profiles import load as load_profiles


def test_the_document_shows_the_results_as_they_are() -> None:
    text = (DOCUMENTS / "performance.md").read_text(encoding="utf-8")
    assert text == with_parts(text, parts_of(load(RESULTS), load_profiles(RESULTS)))


def test_a_missing_mark_is_named() -> None:
    with pytest.raises(SystemExit, match="'goals'"):
        with_parts("# Nothing is marked here", {"goals": "| a table |"})


def test_measured_rows_are_written_at_once_and_kept(tmp_path: Path) -> None:
    first = Results(tmp_path)
    first.keep("latency", row_of("a tail", "a baseline", AtMost(5), [2.0]))
    first.keep("cpu_per_request", row_of("a read", "a baseline", AtMost(1.5), [1.2]))
    later = Results(tmp_path)
    later.keep("cpu_per_request", row_of("a read", "a baseline", AtMost(1.5), [1.3]))
    assert [(row.title, row.measured) for row in Results(tmp_path).rows] == [("a read", 1.3), ("a tail", 2.0)]
    assert "a tail" in (tmp_path / "goals.md").read_text(encoding="utf-8")


def test_a_section_that_is_measured_again_loses_rows_that_no_longer_exist(tmp_path: Path) -> None:
    Results(tmp_path).keep(
        "cpu_per_request", row_of("a row by its old name", "a baseline", AtMost(1.5), [1.2])
    )
    again = Results(tmp_path)
    again.begin("cpu_per_request")
    assert [row.title for row in again.rows] == ["a row by its old name"]
    again.keep("cpu_per_request", row_of("a row", "a baseline", AtMost(1.5), [1.2]))
    assert [row.title for row in again.rows] == ["a row"]


def test_rows_of_a_quick_run_are_not_mixed_with_others(tmp_path: Path) -> None:
    Results(tmp_path, is_quick=True).keep(
        "cpu_per_request", row_of("a read", "a baseline", AtMost(1.5), [1.2])
    )
    assert Results(tmp_path).rows == []


def test_the_table_has_the_reason_of_an_inconclusive_figure() -> None:
    row = inconclusive(
        row_of("a read", "a baseline", AtMost(1.5), [1.2]), "the load generator was busy for 95% of the time"
    )
    assert "| inconclusive |" in goals_table([row])
    assert "busy for 95%" in goals_table([row])
    assert "1.2" not in goals_table([row])


def test_advice_without_a_figure_is_left_out() -> None:
    assert READ_BY_BLOG not in advice_table([])
    assert "20 times" in advice_table([row_of(READ_BY_BLOG, "a baseline", None, [20.0])])


def test_a_bar_is_the_share_of_an_upper_or_a_lower_goal() -> None:
    rows = [
        row_of("a read", "a baseline", AtMost(2), [1.0]),
        row_of("a batch", "a baseline", AtLeast(20), [40.0]),
        row_of("the blog", "a baseline", None, [20.0]),
    ]
    assert [bar.length for bar in goal_bars(rows)] == [0.5, 0.5]


def test_the_limit_is_shown_beside_the_service() -> None:
    row = row_of(
        READ_ONE, "a baseline", AtMost(1.5), [1.25], details={"cpu_us": 125.0, "baseline_cpu_us": 100.0}
    )
    assert [bar.length for bar in cpu_bars([row])] == [100.0, 125.0]


def test_a_plot_has_colors_for_dark_pages_and_no_trailing_blanks() -> None:
    drawn = for_light_and_dark('<svg width="1">\n<path style="fill: #1f2328"/> \n</svg>')
    assert "prefers-color-scheme:dark" in drawn
    assert "<path" in drawn
    assert "/> \n" not in drawn

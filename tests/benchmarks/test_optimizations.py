"""The receipts: what is written where, and that no figure in a question was typed by hand."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarks.prompts import MARK, QUESTIONS, WORDS, with_prompts, words_of
from benchmarks.receipts import answers_of, table, verdict_of, write_measured
from benchmarks.served import WORKLOADS
from fastforge.tunings import Measured, Tuning, load_tunings
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import RunFastForge
from tests.repository import OPTIMIZATIONS

RECORDS = sorted(OPTIMIZATIONS.glob("*/*.toml"))
MEASURED: dict[str, Any] = {
    "ratio": 1.5,
    "low": 1.4,
    "high": 1.6,
    "verdict": "pays",
    "cpu_us": 100.0,
    "cpu_us_without": 150.0,
    "date": "2026-11-20",
    "machine": "Linux, 2 CPUs, Python 3.11.7",
    "versions": {"fastapi": "0.165.0", "starlette-compress": "2.0"},
}


def tunings() -> list[Tuning]:
    return load_tunings(OPTIMIZATIONS)


def measured(**changes: Any) -> list[Tuning]:
    """Return all tunings, each with such a measurement."""
    result = Measured(**MEASURED | changes)
    return [replace(each, measured=result) for each in tunings()]


def test_each_record_has_a_name_of_its_own_and_is_complete() -> None:
    names = [each.id for each in tunings()]

    assert len(names) == len(set(names)) >= 40
    for each in tunings():
        assert all([each.title, each.why, each.since, each.edits]), each.id
        assert each.workload in WORKLOADS, each.id


def test_each_record_is_measured_in_a_project_that_has_it() -> None:
    for each in tunings():
        general = {"every", "any_cache", "any_compression", "nginx_compression"}
        assert each.applies_to in general or each.applies_to in answers_of(each).values(), each.id


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.stem)
def test_writing_a_measurement_changes_nothing_else(record: Path, tmp_path: Path) -> None:
    copy = tmp_path / record.name
    copy.write_bytes(record.read_bytes())
    before = tomllib.loads(copy.read_text())

    write_measured(copy, MEASURED)
    once = copy.read_bytes()
    write_measured(copy, MEASURED)

    start = record.read_bytes().partition(b"\n[measured]\n")[0].rstrip(b"\n")
    assert copy.read_bytes() == once
    assert once.startswith(start + b"\n\n[measured]\n")
    assert tomllib.loads(once.decode()) == before | {"measured": MEASURED}


@given(st.floats(0.1, 10), st.floats(0, 5))
def test_a_verdict_is_only_given_where_the_noise_allows_one(low: float, width: float) -> None:
    verdict = verdict_of(low, low + width)

    assert (verdict == "undecided") == (low <= 1.02 <= low + width)
    assert (verdict == "pays") == (low > 1.02)


def test_what_is_undecided_gets_no_number() -> None:
    decided, undecided = table(measured()), table(measured(verdict="undecided"))

    assert "| 1.5 | 1.4 to 1.6 | pays |" in decided
    assert "| 1.5 |" not in undecided
    assert all(not words_of(value, measured(verdict="undecided")) for value in WORDS)


def test_the_figures_of_the_questions_are_those_of_the_records() -> None:
    text = QUESTIONS.read_text()

    assert with_prompts(text, tunings()) == text, "Run: make receipts"


def test_every_answer_that_has_words_gets_its_record_s_figure() -> None:
    text = with_prompts(QUESTIONS.read_text(), measured(ratio=2.0))

    assert text.count(MARK) == len(WORDS)
    assert f"{MARK}saves 50% of a read's CPU on PostgreSQL\": ttl" in text
    assert f'{MARK}a page takes 2.0 times the CPU": pydantic' in text
    assert with_prompts(text, measured(verdict="undecided")).count(MARK) == 0
    assert with_prompts(with_prompts(text, []), tunings()) == QUESTIONS.read_text()


def test_options_and_help_show_the_same_words(fastforge: RunFastForge) -> None:
    shown = " ".join(fastforge("options").output.split())

    for value in WORDS:
        assert words_of(value, tunings()) in shown

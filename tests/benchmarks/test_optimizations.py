"""Measurements of the optimizations, their files, and the figures in questions."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastforge_kit.comparison import Comparison, Round
from fastforge_kit.errors import CannotMeasure
from fastforge_kit.measurement import Sample
from fastforge_kit.optimizations import Optimization, OptimizationMeasurement, load_optimizations
from fastforge_kit.workloads import RESOURCE_WORKLOADS

from benchmarks.optimizations.__main__ import measured
from benchmarks.optimizations.files import optimizations_table, write_measurement
from benchmarks.optimizations.measure import answers_of, measurement_of
from benchmarks.optimizations.prompts import MARK, QUESTIONS, WORDS, with_prompts, words_of
from tests.conftest import RunFastForge
from tests.repository import OPTIMIZATIONS

FILES = sorted(OPTIMIZATIONS.glob("*/*.toml"))
MEASUREMENT: dict[str, Any] = {
    "ratio": 1.5,
    "low": 1.4,
    "high": 1.6,
    "verdict": "met",
    "cpu_us": 100.0,
    "cpu_us_without": 150.0,
    "date": "2026-11-20",
    "machine": "Linux, 2 CPUs, Python 3.11.7",
    "versions": {"fastapi": "0.165.0", "starlette-compress": "2.0"},
}
SAMPLE = Sample(2_000, 2_000, 2, 20, 0, 100, 0.3, 0.2)


def optimizations() -> list[Optimization]:
    return load_optimizations(OPTIMIZATIONS)


def with_measurement(**changes: Any) -> list[Optimization]:
    """Return all optimizations, each with such a measurement."""
    measurement = OptimizationMeasurement(**MEASUREMENT | changes)
    return [replace(each, measurement=measurement) for each in optimizations()]


def compared(optimization: Optimization, *ratios: float) -> Comparison:
    rounds = tuple(Round(SAMPLE, SAMPLE._replace(cpu_us=100 * ratio)) for ratio in ratios)
    return Comparison(optimization, rounds)


def test_each_optimization_has_its_own_name_and_is_complete() -> None:
    names = [each.id for each in optimizations()]
    workloads = {each.name for each in RESOURCE_WORKLOADS}

    assert len(names) == len(set(names)) >= 40
    for each in optimizations():
        assert all([each.title, each.why, each.since, each.edits]), each.id
        assert each.workload in workloads, each.id


def test_each_optimization_is_measured_in_a_project_that_has_it() -> None:
    for each in optimizations():
        general = {"every", "any_cache", "any_compression", "nginx_compression"}
        assert each.applies_to in general or each.applies_to in answers_of(each).values(), each.id


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_writing_a_measurement_changes_nothing_else(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    before = tomllib.loads(copy.read_text())

    write_measurement(copy, MEASUREMENT)
    once = copy.read_bytes()
    write_measurement(copy, MEASUREMENT)

    start = file.read_bytes().partition(b"\n[measurement]\n")[0].rstrip(b"\n")
    assert copy.read_bytes() == once
    assert once.startswith(start + b"\n\n[measurement]\n")
    assert tomllib.loads(once.decode()) == before | {"measurement": MEASUREMENT}


@pytest.mark.parametrize(
    "failure", [CannotMeasure("no", ""), OSError("no"), SystemExit("no"), KeyError("no")]
)
def test_a_failure_does_not_prevent_the_other_measurements(failure: BaseException) -> None:
    first, second, third = optimizations()[:3]
    failures: list[str] = []

    def measure_one(optimization: Optimization) -> Comparison:
        if optimization is second:
            raise failure
        return compared(optimization, 1.5)

    found = list(measured([first, second, third], measure_one, failures, seconds=60))

    assert [each.optimization for each in found] == [first, third]
    assert len(failures) == 1
    assert failures[0].startswith(f"{second.id}: ")


def test_no_measurement_begins_after_the_time_is_over() -> None:
    failures: list[str] = []

    found = list(measured(optimizations()[:2], compared, failures, seconds=-1))

    assert found == []
    assert len(failures) == 2


def test_a_measurement_has_the_interval_of_its_verdict() -> None:
    (optimization, *_) = optimizations()
    clear, noisy = [1.2, 1.3, 1.2, 1.3, 1.2], [1.2, 1.3, 0.9, 1.3, 1.2]

    decided = measurement_of(compared(optimization, *clear), {"fastapi": "0.165.0"})
    undecided = measurement_of(compared(optimization, *noisy), {})

    assert (decided["low"], decided["ratio"], decided["high"], decided["verdict"]) == (1.2, 1.2, 1.3, "met")
    assert (undecided["low"], undecided["high"], undecided["verdict"]) == (0.9, 1.3, "inconclusive")
    assert decided["versions"] == {"fastapi": "0.165.0"}


def test_the_recorded_verdicts_are_those_of_their_intervals() -> None:
    for each in optimizations():
        if measurement := each.measurement:
            verdicts = {"met": measurement.low > 1.02, "missed": measurement.high < 1.02}
            assert verdicts.get(measurement.verdict, measurement.low <= 1.02 <= measurement.high), each.id


def test_an_inconclusive_measurement_gets_no_number() -> None:
    decided = optimizations_table(with_measurement())
    inconclusive = optimizations_table(with_measurement(verdict="inconclusive"))

    assert "| 1.5× | 1.4–1.6 | met |" in decided
    assert "| 1.5× |" not in inconclusive
    assert all(not words_of(value, with_measurement(verdict="inconclusive")) for value in WORDS)


def test_the_figures_of_the_questions_are_measured() -> None:
    text = QUESTIONS.read_text()

    assert with_prompts(text, optimizations()) == text, "Run: make bench-optimizations"


def test_every_answer_with_a_text_gets_its_measured_figure() -> None:
    text = with_prompts(QUESTIONS.read_text(), with_measurement(ratio=2.0))

    assert text.count(MARK) == len(WORDS)
    assert f"{MARK}saves 50% of a read's CPU on PostgreSQL\": ttl" in text
    assert f'{MARK}a page takes 2.0 times the CPU": pydantic' in text
    assert with_prompts(text, with_measurement(verdict="inconclusive")).count(MARK) == 0
    assert with_prompts(with_prompts(text, []), optimizations()) == QUESTIONS.read_text()


def test_options_and_help_show_the_same_words(fastforge: RunFastForge) -> None:
    shown = " ".join(fastforge("options").output.split())

    for value in WORDS:
        assert words_of(value, optimizations()) in shown

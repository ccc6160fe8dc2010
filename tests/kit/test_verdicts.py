"""Verdicts of the measuring kit, which depend on the noise."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest
from fastforge_kit.comparison import Comparison, Round
from fastforge_kit.generator import is_complete
from fastforge_kit.measurement import Load, Sample, WorkloadMeasurement
from fastforge_kit.optimizations import Optimization
from fastforge_kit.processes import busy_cpus
from fastforge_kit.results import Results
from fastforge_kit.targets import read_targets, verdict
from fastforge_kit.verdicts import AtLeast, AtMost, Bound, median_interval
from fastforge_kit.workloads import SERVICE_WORKLOADS
from hypothesis import given
from hypothesis import strategies as st

BRIEFLY = Load(connections=2, generators=1, rounds=1, seconds=0.02)
GOOD = Sample(2_000, 2_000, 2, 20, 0, 100, 0.3, 0.2)
SLOW = GOOD._replace(p50_ms=60)
GENERATOR_AT_ITS_LIMIT = SLOW._replace(generator_busy=0.95)
CPUS = os.cpu_count() or 1
MACHINE_FULL = SLOW._replace(others_cpus=CPUS / 2, busy_cpus=CPUS)
OPTIMIZATION = Optimization("one", "every", "One", "0.1.0", "", SERVICE_WORKLOADS[0].name, [], None)
DEFAULTS = read_targets(Path("no such file"))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([GOOD, GOOD], "met"),
        ([SLOW, SLOW], "missed"),
        ([GOOD, SLOW], "inconclusive"),
        ([GENERATOR_AT_ITS_LIMIT], "inconclusive"),
        ([MACHINE_FULL, MACHINE_FULL], "inconclusive"),
        ([GOOD._replace(others_cpus=CPUS, busy_cpus=CPUS)], "met"),
        # A CPU was idle, or none was taken from the service.
        ([SLOW._replace(others_cpus=1, busy_cpus=CPUS / 2)], "missed"),
        ([SLOW._replace(others_cpus=0, busy_cpus=CPUS)], "missed"),
    ],
)
def test_a_target_is_missed_only_if_it_is_in_all_rounds(samples: list[Sample], expected: str) -> None:
    assert verdict(DEFAULTS[0], WorkloadMeasurement(SERVICE_WORKLOADS[0], samples)) == expected


def test_a_busy_machine_is_reported() -> None:
    workload = SERVICE_WORKLOADS[0]
    busy, quiet = (
        Results(BRIEFLY, {workload.name: WorkloadMeasurement(workload, [each])})
        for each in (MACHINE_FULL, SLOW)
    )
    (remark,) = [remark for remark in busy.remarks() if "the machine was busy" in remark]
    assert f"{CPUS / 2:.1f} of its {CPUS} CPUs" in remark
    assert workload.name in remark
    assert not [remark for remark in quiet.remarks() if "busy" in remark]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is read from /proc")
def test_cpu_time_of_any_program_is_measured() -> None:
    ended = threading.Event()

    def burn() -> None:
        while not ended.is_set():
            time.perf_counter()

    thread = threading.Thread(target=burn)
    thread.start()
    try:
        assert (busy_cpus(0.3) or 0) > 0.2
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([1.3, 1.2, 1.4, 1.3, 1.2, 1.3], "met"),
        ([1.0, 0.9, 1.01, 1.0, 0.9, 1.0], "missed"),
        ([1.3, 0.9, 1.4, 1.0, 1.2, 1.3], "inconclusive"),
        ([1.3, 1.3, 1.3, 1.3], "inconclusive"),
        # One disturbed round of nine does not matter.
        ([1.3, 1.3, 1.2, 1.3, 0.2, 1.3, 1.4, 1.3, 1.2], "met"),
    ],
)
def test_an_optimization_has_a_verdict_if_its_rounds_are_conclusive(
    ratios: Sequence[float], expected: str
) -> None:
    rounds = tuple(Round(GOOD._replace(cpu_us=100), GOOD._replace(cpu_us=100 * ratio)) for ratio in ratios)
    comparison = Comparison(OPTIMIZATION, rounds)
    assert comparison.verdict == expected
    assert (comparison.ratio is None) == (expected == "inconclusive")


@pytest.mark.parametrize(
    ("response", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", False),
        (b"HTTP/1.1 200 OK\r\ncontent-le", False),
    ],
)
def test_a_response_is_complete_with_the_last_byte_of_its_body(response: bytes, complete: bool) -> None:
    assert is_complete(response) == complete


@given(st.floats(0, 10), st.floats(0, 5), st.sampled_from([AtMost, AtLeast]))
def test_a_verdict_is_inconclusive_exactly_if_the_bound_is_inside_the_interval(
    low: float, width: float, kind: type[Bound]
) -> None:
    bound, high = kind(5.0), low + width
    verdict = bound.verdict(low, high)

    assert (verdict == "inconclusive") == (bound.is_kept(low) != bound.is_kept(high))
    assert (verdict == "met") == (bound.is_kept(low) and bound.is_kept(high))


@given(st.lists(st.floats(0, 10), max_size=30))
def test_the_ends_of_an_interval_are_measured_values(values: list[float]) -> None:
    interval = median_interval(values)

    assert (interval is None) == (len(values) < 5)
    if interval:
        assert interval[0] <= median(values) <= interval[1]
        assert set(interval) <= set(values)

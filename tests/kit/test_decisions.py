"""The measuring kit decides nothing that the noise does not allow."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from fastforge_kit.comparison import Comparison
from fastforge_kit.generator import is_complete
from fastforge_kit.measurement import Load, Measurement, Sample
from fastforge_kit.processes import busy_cpus
from fastforge_kit.results import Results
from fastforge_kit.targets import read_targets, verdict
from fastforge_kit.tunings import Tuning
from fastforge_kit.workloads import WORKLOADS

BRIEFLY = Load(connections=2, generators=1, rounds=1, seconds=0.02)
GOOD = Sample(2_000, 2_000, 2, 20, 0, 100, 0.3, 0.2)
SLOW = GOOD._replace(p50_ms=60)
GENERATOR_AT_ITS_LIMIT = SLOW._replace(generator_busy=0.95)
CPUS = os.cpu_count() or 1
MACHINE_FULL = SLOW._replace(others_cpus=CPUS / 2, busy_cpus=CPUS)
TUNING = Tuning("one", "every", "One", "0.1.0", "", WORKLOADS[0].name, [], None)
USUAL = read_targets(Path("no such file"))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([GOOD, GOOD], "pass"),
        ([SLOW, SLOW], "fail"),
        ([GOOD, SLOW], "undecided"),
        ([GENERATOR_AT_ITS_LIMIT], "undecided"),
        ([MACHINE_FULL, MACHINE_FULL], "undecided"),
        ([GOOD._replace(others_cpus=CPUS, busy_cpus=CPUS)], "pass"),
        # There was a CPU left, or none was taken from the service.
        ([SLOW._replace(others_cpus=1, busy_cpus=CPUS / 2)], "fail"),
        ([SLOW._replace(others_cpus=0, busy_cpus=CPUS)], "fail"),
    ],
)
def test_a_target_is_missed_only_where_all_rounds_say_so(samples: list[Sample], expected: str) -> None:
    assert verdict(USUAL[0], Measurement(WORKLOADS[0], samples)) == expected


def test_a_busy_machine_is_said_to_be_one() -> None:
    busy, quiet = (Results(BRIEFLY, [Measurement(WORKLOADS[0], [each])]) for each in (MACHINE_FULL, SLOW))
    (remark,) = [remark for remark in busy.remarks() if "the machine was busy" in remark]
    assert f"{CPUS / 2:.1f} of its {CPUS} CPUs" in remark
    assert WORKLOADS[0].name in remark
    assert not [remark for remark in quiet.remarks() if "busy" in remark]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is read from /proc")
def test_cpu_time_of_any_program_is_seen() -> None:
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
        ([1.3, 1.2, 1.4, 1.3, 1.2, 1.3], "pays"),
        ([1.0, 0.9, 1.01, 1.0, 0.9, 1.0], "does not pay"),
        ([1.3, 0.9, 1.4, 1.0, 1.2, 1.3], "undecided"),
        ([1.3, 1.3, 1.3, 1.3], "undecided"),
        # One disturbed round of nine does not matter.
        ([1.3, 1.3, 1.2, 1.3, 0.2, 1.3, 1.4, 1.3, 1.2], "pays"),
    ],
)
def test_a_tuning_pays_where_its_rounds_leave_no_doubt(ratios: Sequence[float], expected: str) -> None:
    comparison = Comparison(TUNING, list(ratios))
    assert comparison.verdict == expected
    assert (comparison.ratio is None) == (expected == "undecided")


@pytest.mark.parametrize(
    ("answer", "complete"),
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
def test_an_answer_is_complete_with_the_last_byte_of_its_body(answer: bytes, complete: bool) -> None:
    assert is_complete(answer) == complete

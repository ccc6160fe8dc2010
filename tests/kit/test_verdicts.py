"""The measuring kit decides nothing that the noise does not allow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fastforge_kit.comparison import Comparison
from fastforge_kit.generator import is_complete
from fastforge_kit.measurement import Measurement, Sample
from fastforge_kit.targets import read_targets, verdict
from fastforge_kit.tunings import Tuning
from fastforge_kit.workloads import WORKLOADS

GOOD = Sample(2_000, 2_000, 2, 20, 0, 100, 0.3, 0.2)
SLOW = GOOD._replace(p50_ms=60)
GENERATOR_AT_ITS_LIMIT = SLOW._replace(generator_busy=0.95)
TUNING = Tuning("one", "every", "One", "0.1.0", "", WORKLOADS[0].name, [], None)
USUAL = read_targets(Path("no such file"))


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([GOOD, GOOD], "pass"),
        ([SLOW, SLOW], "fail"),
        ([GOOD, SLOW], "undecided"),
        ([GENERATOR_AT_ITS_LIMIT], "undecided"),
    ],
)
def test_a_target_is_missed_only_where_all_rounds_say_so(samples: list[Sample], expected: str) -> None:
    assert verdict(USUAL[0], Measurement(WORKLOADS[0], samples)) == expected


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

"""`make bench` measures this very service, and says in a line why it cannot."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

from benchmarks import PROJECT
from benchmarks.generator import is_complete

BRIEFLY = ["--json", "--seconds", "0.05", "--rounds", "1", "--connections", "4", "--workers", "1"]
WORKLOADS = 6


Bench = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bench(environment: dict[str, str]) -> Bench:
    """Return what runs the command to its end."""

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "benchmarks", *arguments]
        return subprocess.run(
            command, cwd=PROJECT, env=environment | variables, capture_output=True, text=True, check=False
        )

    return run


def test_every_workload_is_answered_without_errors(bench: Bench) -> None:
    done = bench(*BRIEFLY)
    assert done.returncode == 0, done.stdout + done.stderr
    workloads = json.loads(done.stdout)["workloads"]
    assert len(workloads) == WORKLOADS
    assert {workload["targets"]["errors < 0.1 %"] for workload in workloads} == {"pass"}
    assert all(workload["per_second"] > 0 for workload in workloads)


def test_a_port_in_use_is_refused_in_one_line(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = bench("--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Port {port} cannot be used: Address already in use. Choose another.\n"


def test_a_service_that_does_not_start_is_named_in_one_line(bench: Bench) -> None:
    done = bench(LOG_LEVEL="LOUD")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The service does not start: LOG_LEVEL=LOUD")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", False),
        (b"HTTP/1.1 200 OK\r\ncontent-le", False),
    ],
)
def test_an_answer_is_complete_with_the_last_byte_of_its_body(answer: bytes, complete: bool) -> None:
    assert is_complete(answer) == complete

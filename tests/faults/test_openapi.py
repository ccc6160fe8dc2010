"""The behavior of the service matches its OpenAPI document, as checked by schemathesis."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment
from tests.faults.plugin import Note, fault_variants

# https://schemathesis.readthedocs.io/en/stable/reference/checks/
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
SEED = "20261120"
# Over all variants of a run, which are at least three.
LEAST_REQUESTS = 2_000
EXAMPLES_OF_EACH_OPERATION = 180
LONGEST_SECONDS = 300


def test_every_response_matches_the_documentation(
    service: Deployment, note: Note, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    variants = max(len(fault_variants(pytestconfig.getoption("--variants"))), 3)
    examples = math.ceil(EXAMPLES_OF_EACH_OPERATION / variants)
    report = tmp_path / "report.json"
    schemathesis = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/openapi.json"]
    bounds = ["--max-examples", str(examples), "--seed", SEED, "--request-timeout", "20"]
    output = ["--report", "json", "--report-json-path", str(report), "--warnings", "off", "--no-color"]
    done = subprocess.run(
        [*schemathesis, "--checks", ",".join(CHECKS), *bounds, *output],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    told = json.loads(report.read_text(encoding="utf-8"))
    generated = told["test_cases"]["generated"]

    assert done.returncode == 0, done.stdout
    assert told["operations"]["tested"] == told["operations"]["total"] >= 10
    assert generated >= math.ceil(LEAST_REQUESTS / variants)
    note("schemathesis", told["running_time"], f"{generated} requests, each with a documented response")

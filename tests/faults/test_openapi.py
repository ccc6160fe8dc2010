"""The behavior of the service matches its OpenAPI document, as checked by schemathesis."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.deployment import Deployment
from tests.faults.plugin import Note, variants_of
from tests.repository import REPOSITORY

# What it may find is in there, with the reason.
HOOKS = "tests.faults.schema_exceptions"
SEED = "20261120"
# Over all variants of a run, which are at least three.
LEAST_REQUESTS = 2_000
EXAMPLES_OF_EACH_OPERATION = 60
LONGEST_SECONDS = 600


@pytest.mark.depends("database", "serializer", once=("mongodb_driver", "cache", "compression", "deployment"))
def test_every_response_matches_the_documentation(
    service: Deployment, note: Note, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    variants = max(len(variants_of(request.node, request.config.getoption("--variants"))), 3)
    examples = math.ceil(EXAMPLES_OF_EACH_OPERATION / variants)
    report = tmp_path / "report.json"
    schemathesis = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{service.url}/openapi.json"]
    checks = ["--checks", "all", "--continue-on-failure"]
    bounds = ["--max-examples", str(examples), "--seed", SEED, "--request-timeout", "20"]
    output = ["--report", "json", "--report-json-path", str(report), "--warnings", "off", "--no-color"]
    output += ["--output-truncate", "false"]
    done = subprocess.run(
        [*schemathesis, *checks, *bounds, *output],
        cwd=tmp_path,
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": HOOKS, "SERVICE_URL": service.url, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    told = json.loads(report.read_text(encoding="utf-8"))
    generated = told["test_cases"]["generated"]

    assert done.returncode == 0, done.stdout
    assert told["operations"]["tested"] == told["operations"]["total"] >= 20
    assert generated >= math.ceil(LEAST_REQUESTS / variants)
    note("schemathesis", told["running_time"], f"{generated} requests, each with a documented response")

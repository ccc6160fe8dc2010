"""Each fault runs with every pair of answers that its outcome depends on, and not on every variant."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from itertools import product

import pytest

from tests.faults.plugin import fault_variants
from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment
from tests.variants.space import Variant

# What they kill or freeze is the database, the service, or a part of it.
WITH_EVERY_DATABASE_AND_DEPLOYMENT = (
    "test_database_faults",
    "test_process_faults",
    "test_reference_faults",
    "test_transaction_faults",
)
RUNS = re.compile(r"^tests/faults/(\w+)\.py::(\w+)\[(.+)\]$", re.MULTILINE)


@pytest.fixture(scope="module")
def runs() -> dict[tuple[str, str], list[Variant]]:
    """Return the variants that each test of a fault runs on in CI, by its file and name."""
    names = sorted(fault_variants("covering"), key=lambda variant: -len(variant.name))
    collect = ["--collect-only", "-q", "--variants", "covering", "tests/faults"]
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *collect],
        cwd=REPOSITORY,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found: dict[tuple[str, str], list[Variant]] = defaultdict(list)
    for file, test, parameters in RUNS.findall(shown):
        found[file, test].append(next(variant for variant in names if variant.name in parameters))
    return found


def pairs(variants: list[Variant] | tuple[Variant, ...]) -> set[tuple[str | None, str | None]]:
    return {(variant["database"], variant["deployment"]) for variant in variants}


def test_faults_of_processes_and_databases_run_with_each_database_and_deployment(
    runs: dict[tuple[str, str], list[Variant]],
) -> None:
    everywhere = pairs(fault_variants("covering"))
    assert everywhere == set(product(("sqlite", "postgres", "mongodb"), ("uvicorn", "gunicorn", "nginx")))
    for (file, test), variants in runs.items():
        if file in WITH_EVERY_DATABASE_AND_DEPLOYMENT:
            databases = {variant["database"] for variant in variants}
            deployments = {variant["deployment"] for variant in variants}
            assert pairs(variants) == set(product(databases, deployments)), test
            assert len(deployments) >= 2
            drivers = {variant["mongodb_driver"] for variant in variants}
            assert "mongodb" not in databases or drivers >= {"pymongo", "motor"}, test


def test_faults_of_one_deployment_run_on_few_variants(runs: dict[tuple[str, str], list[Variant]]) -> None:
    for (file, test), variants in runs.items():
        if file == "test_nginx":
            assert {variant["compression"] for variant in variants} == {"negotiated", "gzip", "none"}, test
            assert len(set(variants)) == 3


def test_every_fault_runs_somewhere_and_every_answer_has_faults(
    runs: dict[tuple[str, str], list[Variant]],
) -> None:
    answers = {answer for variants in runs.values() for variant in variants for answer in variant.answers}

    assert len(runs) > 100
    assert answers == {answer for variant in fault_variants("covering") for answer in variant.answers}

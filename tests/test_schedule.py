"""Tests that share a variant's servers and folder go to one process."""

from __future__ import annotations

import pytest

from tests.schedule import group_of

VARIANT = "postgres-redis-orjson-gzip-gunicorn"
ALONE = "tests/faults/test_postgres_faults.py::test_a_pooler"


@pytest.mark.parametrize("parameters", ["{}", "{}-idle", "transaction-{}", "transaction-{}-idle"])
def test_the_faults_of_a_variant_are_in_one_group_at_any_position_of_its_name(parameters: str) -> None:
    assert group_of(f"{ALONE}[{parameters.format(VARIANT)}]") == f"faults of {VARIANT}"


def test_the_variant_that_is_named_first_decides() -> None:
    other = "sqlite-ttl-orjson-negotiated-uvicorn"
    assert group_of(f"tests/updates/test_update.py::test_one[{VARIANT}-{other}]") == f"updates of {VARIANT}"


@pytest.mark.parametrize(
    "test", ["tests/generator/cli/test_commands.py::test_one[a]", f"{ALONE}[unknown]", ALONE]
)
def test_what_names_no_variant_is_its_own_group(test: str) -> None:
    assert group_of(test) == test

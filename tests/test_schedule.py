"""Tests that share a variant's servers and folder go to one process, and long groups come first."""

from __future__ import annotations

import pytest

from tests.schedule import group_of, ordered

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


def test_groups_stay_together_and_the_longest_come_first_with_faults_in_turn() -> None:
    short = [f"tests/test_urls.py::test_{number}" for number in range(3)]
    long = ["tests/variants/test_ablations.py::test_one"]
    few = [f"tests/faults/test_races.py::test_{number}[{VARIANT}]" for number in range(2)]
    many = [
        f"tests/faults/test_races.py::test_{number}[sqlite-ttl-orjson-negotiated-uvicorn]"
        for number in range(9)
    ]

    assert ordered([short[0], *few, *many, *short[1:], *long]) == [
        *long, *many, short[0], *few, *short[1:],
    ]  # fmt: skip

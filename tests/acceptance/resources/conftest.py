"""Tests for each resource and field of the answer that the service was generated from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from tests.acceptance.resources.cases import CASES
from tests.acceptance.resources.grammar import Resource, resources_of
from tests.acceptance.resources.shop import Shop
from tests.acceptance.service import Service


def _resources(config: pytest.Config) -> list[Resource]:
    answers = yaml.safe_load(config.getoption("--answers").read_text(encoding="utf-8"))
    return resources_of(answers["resources"])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with each case that it asks for by the name of an argument."""
    for name in CASES.keys() & set(metafunc.fixturenames):
        cases = list(CASES[name](_resources(metafunc.config)))
        ids = [case.plural if isinstance(case, Resource) else str(case) for case in cases]
        metafunc.parametrize(name, cases, ids=ids)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests for which the resources have no case."""
    without = [item for item in items if "NOTSET" in item.name]
    config.hook.pytest_deselected(items=without)
    items[:] = [item for item in items if item not in without]


@pytest.fixture(scope="session")
def shop(service: Service) -> Shop:
    """The service's resources."""
    resources = resources_of(service.answers["resources"])
    return Shop(service, {each.plural: each for each in resources})


@pytest.fixture(scope="session")
def others(shop: Shop) -> Iterator[Shop]:
    """The same resources, as another caller uses them."""
    yield from _as(shop, shop.service.other_token)


@pytest.fixture(scope="session")
def overseers(shop: Shop) -> Iterator[Shop]:
    """The same resources, as a caller uses them who sees the rows of all."""
    yield from _as(shop, shop.service.overseer_token)


def _as(shop: Shop, token: str) -> Iterator[Shop]:
    service = replace(shop.service, token=token)
    with service.client:
        yield Shop(service, shop.resources)

"""Distribution of tests over processes: one process runs all tests that share servers or renderings.

The longest groups come first, so that no process is idle at the end. Faults, which mostly wait, alternate
with tests that mostly compute.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from functools import cache
from itertools import chain, zip_longest
from typing import Any

import pytest

from tests.phases import expected_seconds, phase_of
from tests.variants.batches import batch_name
from tests.variants.space import Variant, every_variant

FOLDER_AND_PARAMETERS = re.compile(r"tests/(faults|updates|variants)/(?!test_running).*?\[([^\]]*)")
RENDERED_TOGETHER = "variants"
# All of them use the same services.
CLIENTS = "tests/clients/"
WAITING = "faults"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests of a parallel run, alike in each of its processes."""
    if hasattr(config, "workerinput"):
        places = {nodeid: place for place, nodeid in enumerate(ordered([item.nodeid for item in items]))}
        items.sort(key=lambda item: places[item.nodeid])


def ordered(nodeids: list[str]) -> list[str]:
    """Return the tests by group: the longest first, and faults and others in turn."""
    groups: dict[str, list[str]] = defaultdict(list)
    for nodeid in nodeids:
        groups[group_of(nodeid)].append(nodeid)
    longest = sorted(groups.values(), key=lambda group: -sum(map(expected_seconds, group)))
    waiting = [group for group in longest if phase_of(group[0]).name == WAITING]
    working = [group for group in longest if phase_of(group[0]).name != WAITING]
    return [nodeid for group in chain(*zip_longest(working, waiting, fillvalue=[])) for nodeid in group]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return three times the number of processors: tests mostly wait for servers to start and stop."""
    return 3 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 6


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that keeps a variant's tests together."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    config.option.loadscopereorder = False

    class ByVariant(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByVariant(config, log)


@cache
def group_of(nodeid: str) -> str:
    """Return the group of tests that run in the same process; a test that shares nothing is its own group."""
    if nodeid.startswith(CLIENTS):
        return CLIENTS
    found = FOLDER_AND_PARAMETERS.match(nodeid)
    if found is None:
        return nodeid
    # A fixture's own parameters come before the variant; one name may begin with another.
    places = [(found[2].find(name), -len(name), name) for name in variants_by_name() if name in found[2]]
    if not places:
        return nodeid
    variant = variants_by_name()[min(places)[-1]]
    return f"{found[1]} of {batch_name(variant) if found[1] == RENDERED_TOGETHER else variant.name}"


@cache
def variants_by_name() -> dict[str, Variant]:
    """Return all variants by their names."""
    return {variant.name: variant for variant in every_variant()}

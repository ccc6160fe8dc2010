"""Distribution of tests over processes: one process runs all tests that share servers or renderings.

pytest-xdist 3.8 marks its groups in a private attribute that pytest 9.2 no longer reads, so that
`--dist loadgroup` on its own spreads the tests of a group over all processes.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from tests.variants.batches import batch_name
from tests.variants.space import every_variant

FOLDER_AND_PARAMETERS = re.compile(r"tests/(faults|updates|variants)/(?!test_running).*?\[([^\]]*)")
RENDERED_TOGETHER = "variants"
# All of them use the same services.
CLIENTS = "tests/clients/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return three times the number of processors: tests mostly wait for servers to start and stop."""
    return 3 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 6


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return a scheduler that keeps a variant's tests together."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByVariant(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByVariant(config, log)


def group_of(nodeid: str) -> str:
    """Return the group of tests that run in the same process; a test that shares nothing is its own group."""
    if nodeid.startswith(CLIENTS):
        return CLIENTS
    found = FOLDER_AND_PARAMETERS.match(nodeid)
    if found is None:
        return nodeid
    # A fixture's own parameters come before the variant; one name may begin with another.
    places = [(found[2].find(variant.name), -len(variant.name), variant) for variant in every_variant()]
    named = [place for place in places if place[0] >= 0]
    if not named:
        return nodeid
    *_, variant = min(named, key=lambda place: place[:2])
    return f"{found[1]} of {batch_name(variant) if found[1] == RENDERED_TOGETHER else variant.name}"

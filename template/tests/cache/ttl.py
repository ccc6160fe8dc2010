"""The cache in this process's memory needs nothing."""

import pytest


@pytest.fixture(scope="session")
def cache() -> dict[str, str]:
    """Return the settings that lead to an empty cache."""
    return {}

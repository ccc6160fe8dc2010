"""No issuer, for tests that are not about its tokens."""

from collections.abc import Iterator
from contextlib import nullcontext
from unittest.mock import patch

import pytest

from app.forge.auth.oidc_keys import IssuerKeys


@pytest.fixture(scope="module", autouse=True)
def _issuer() -> Iterator[None]:
    """Fetch no keys. A module with its own fixture of this name has an issuer."""
    with patch.object(IssuerKeys, "kept_fresh", lambda _keys: nullcontext()):
        yield

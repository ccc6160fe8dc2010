"""`pytest tests/acceptance --base-url URL --answers FILE` checks the contract of a running service."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.acceptance.service import Item, Service


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that describe the service."""
    group = parser.getgroup("acceptance", "acceptance of a running service")
    group.addoption("--base-url", help="where the service listens, such as http://127.0.0.1:8000")
    group.addoption("--answers", type=Path, help="the .copier-answers.yml of its project")
    group.addoption("--workers", type=int, default=1, help="its number of workers (1)")
    group.addoption("--cache-ttl-seconds", type=float, default=30, help="its CACHE_TTL_SECONDS (30)")
    group.addoption("--max-body-bytes", type=int, default=4 * 2**20, help="its MAX_BODY_BYTES (4 MiB)")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a run of this folder without a service."""
    if not (config.getoption("--base-url") and config.getoption("--answers")):
        raise pytest.UsageError("Name the service to check: --base-url URL --answers FILE")
    with httpx2.Client(trust_env=False) as client:
        missing = {"gzip", "br", "zstd"} - set(client.headers["Accept-Encoding"].split(", "))
    if missing:
        raise pytest.UsageError(f"This client cannot read {sorted(missing)}. Install httpx2[brotli,zstd].")


@pytest.fixture(scope="session")
def service(pytestconfig: pytest.Config) -> Iterator[Service]:
    """The running service."""
    running = Service(
        base_url=pytestconfig.getoption("--base-url"),
        answers=yaml.safe_load(pytestconfig.getoption("--answers").read_text(encoding="utf-8")),
        workers=pytestconfig.getoption("--workers"),
        cache_ttl_seconds=pytestconfig.getoption("--cache-ttl-seconds"),
        max_body_bytes=pytestconfig.getoption("--max-body-bytes"),
        token=os.environ.get("ACCEPTANCE_TOKEN", ""),
        other_token=os.environ.get("ACCEPTANCE_OTHER_TOKEN", ""),
        overseer_token=os.environ.get("ACCEPTANCE_OVERSEER_TOKEN", ""),
    )
    with running.client:
        try:
            running.client.get("/health/live")
        except httpx2.TransportError as failure:
            pytest.exit(f"No service responds at {running.base_url}: {failure}", returncode=1)
        yield running


@pytest.fixture
def item(service: Service) -> Item:
    """A new item."""
    return service.create()

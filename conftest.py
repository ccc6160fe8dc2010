"""Fixtures and options of every test run of FastForge: real servers, and a choice of variants."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# `make test &`, nohup and some runners ignore it, and processes that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine takes longer for an example than 0.2 s.
settings.register_profile("fastforge", settings(), deadline=None)
settings.load_profile("fastforge")

pytest_plugins = [
    "tests.schedule",
    "tests.servers.plugin",
    "tests.variants.plugin",
    "tests.faults.plugin",
    "tests.updates.plugin",
    "tests.progress",
]

TESTS = Path(__file__).parent / "tests"
ACCEPTANCE = TESTS / "acceptance"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Ignore tests that run elsewhere: the machinery's, and the acceptance suite unless it is named."""
    # The former need a project around them, the latter a running service.
    is_named = any("acceptance" in argument for argument in config.args)
    elsewhere = {TESTS / "machinery", *(() if is_named else (ACCEPTANCE,))}
    return True if collection_path in elsewhere else None

"""What every test run of FastForge has: real servers, and a choice of variants."""

import signal
from pathlib import Path

import pytest

# `make test &`, nohup and some runners have it ignored, and all that a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = [
    "tests.servers.plugin",
    "tests.variants.plugin",
    "tests.faults.plugin",
    "tests.updates.plugin",
    "tests.schedule",
    "tests.progress",
]

TESTS = Path(__file__).parent / "tests"
ACCEPTANCE = TESTS / "acceptance"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what runs elsewhere: the machinery's tests, and the acceptance suite unless it is named."""
    # One needs a project around it, the other a service to talk to.
    is_named = any("acceptance" in argument for argument in config.args)
    elsewhere = {TESTS / "machinery", *(() if is_named else (ACCEPTANCE,))}
    return True if collection_path in elsewhere else None

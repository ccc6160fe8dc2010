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

ACCEPTANCE = Path(__file__).parent / "tests" / "acceptance"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the acceptance suite out of runs that do not name it: it needs a service to talk to."""
    is_named = any("acceptance" in argument for argument in config.args)
    return True if collection_path == ACCEPTANCE and not is_named else None

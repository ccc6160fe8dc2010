"""`python -m benchmarks.load_test`: Locust's customers against this service, on this machine, for a bounded time.

The service runs as in production, over a database that is emptied afterwards.
"""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Sequence

from benchmarks import PROJECT
from benchmarks.command import finish, positive_integer
from benchmarks.errors import CannotMeasure
from benchmarks.service import HOST, Start, available_port, running_services
from tests.database import throwaway_database


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it. Raises `SystemExit`: 1 where a request failed, or as `finish` says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load_test", description=__doc__)
    parser.add_argument("--users", type=positive_integer, default=50, help="customers at once (50)")
    parser.add_argument("--seconds", type=positive_integer, default=20, help="how long (20)")
    options = parser.parse_args(arguments)
    finish(lambda: _run(options.users, options.seconds))


def _run(users: int, seconds: int) -> int:
    if importlib.util.find_spec("locust") is None:
        raise CannotMeasure("Locust is not installed. `make load` installs it, from requirements-load.txt.")
    port = available_port(None)
    with throwaway_database() as url, running_services(Start(PROJECT, port, {"DATABASE_URL": url})):
        return subprocess.run(_locust(port, users, seconds), check=False).returncode


def _locust(port: int, users: int, seconds: int) -> list[str]:
    where = ["--locustfile", str(PROJECT / "benchmarks/locustfile.py"), "--host", f"http://{HOST}:{port}"]
    how_much = ["--users", str(users), "--spawn-rate", str(users), "--run-time", f"{seconds}s"]
    return [sys.executable, "-m", "locust", "--headless", "--only-summary", *where, *how_much]


if __name__ == "__main__":
    main()

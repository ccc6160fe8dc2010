"""Every process of a test run gets the same servers, and they end with the run."""

import json
import os
import subprocess
import sys
from pathlib import Path

from testkit.servers.wheels import REPOSITORY

INNER_TESTS = """
import json, os, pathlib, pytest

@pytest.mark.parametrize("n", range(6))
def test_url(n, redis_server, postgres_server):
    redis_server.handshake()
    worker = os.environ["PYTEST_XDIST_WORKER"]
    seen = json.dumps([redis_server.url, redis_server.database()])
    pathlib.Path(f"seen-{worker}-{n}.json").write_text(seen)
"""

MISSING = """
def test_needs_redis(redis_server):
    pass
"""


def _pytest(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    inner = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    options = ["-p", "tests.servers.plugin", "-p", "xdist", "--rootdir", str(folder), "-c", "/dev/null"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        check=False,
        cwd=folder,
        env={**inner, "PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
    )


def test_all_workers_of_a_run_share_servers_that_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(INNER_TESTS)
    done = _pytest(tmp_path, "-n", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    seen = [(path.name, *json.loads(path.read_text())) for path in tmp_path.glob("seen-*.json")]
    assert len({name.split("-")[1] for name, _, _ in seen}) == 2
    assert len({url for _, url, _ in seen}) == 1
    assert len({database for _, _, database in seen}) == 6
    port = seen[0][1].rpartition(":")[2]
    assert (
        subprocess.run(["/bin/sh", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"], check=False).returncode != 0
    )


def test_a_run_lists_the_servers_it_used(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(MISSING)
    done = _pytest(tmp_path)
    assert "Server: Valkey" in done.stdout or "Server: Redis" in done.stdout


def test_a_missing_server_fails_the_test_that_needs_it(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(MISSING)
    done = _pytest(tmp_path, FASTFORGE_REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 1
    assert "Valkey or Redis is not available." in done.stdout


def test_a_missing_server_is_a_counted_skip_if_that_is_configured(tmp_path: Path) -> None:
    (tmp_path / "test_inner.py").write_text(MISSING)
    done = _pytest(tmp_path, "--skip-missing-servers", FASTFORGE_REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 0
    assert "1 skipped" in done.stdout.splitlines()[-1]

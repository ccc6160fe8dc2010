"""Prometheus and promtool: those that FASTFORGE_PROMETHEUS names the folder of, those on PATH, or Debian's.

Debian's package is unpacked beside the system, which takes neither root nor an installation.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from testkit.servers.errors import ServerDied, ServerUnavailable
from testkit.servers.process import free_port
from testkit.servers.wheels import locked, server_home

VARIABLE = "FASTFORGE_PROMETHEUS"
REMEDY = f"apt-get install prometheus, or set {VARIABLE}=/folder/of/both/programs"
START_SECONDS = 30
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Programs:
    """The paths of both programs."""

    prometheus: Path
    promtool: Path

    def check(self, *arguments: str) -> None:
        """Run promtool, and fail with what it says."""
        done = subprocess.run([self.promtool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus that runs."""

    url: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that the expression has now."""
        answer = httpx2.get(f"{self.url}/api/v1/query", params={"query": expression}, trust_env=False)
        document = answer.json()
        assert document["status"] == "success", f"{expression}: {document}"
        series: list[dict[str, Any]] = document["data"]["result"]
        return series


def find_prometheus() -> Programs:
    """Return both programs, or raise `ServerUnavailable`."""
    named = os.environ.get(VARIABLE)
    found = Path(named) / "prometheus" if named else Path(shutil.which("prometheus") or _debians())
    return Programs(found, found.with_name("promtool"))


@contextmanager
def running_prometheus(programs: Programs, configuration: Path, folder: Path) -> Iterator[Prometheus]:
    """Yield a Prometheus with this configuration, which keeps its data in the folder."""
    address = f"127.0.0.1:{free_port()}"
    command = [
        str(programs.prometheus),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={folder / 'data'}",
    ]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--web.listen-address={address}"], cwd=folder, stdout=output, stderr=output
        )
    try:
        _wait_until_ready(process, f"http://{address}", log)
        yield Prometheus(f"http://{address}")
    finally:
        process.kill()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx2.get(f"{url}/-/ready", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(POLL_SECONDS)
    raise ServerDied(f"Prometheus is not ready:\n{log.read_text(errors='replace')[-2_000:]}")


def _debians() -> Path:
    folder = server_home() / "prometheus"
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _unpack(folder)
            (folder / "complete").touch()
    return folder / "usr/bin/prometheus"


def _unpack(target: Path) -> None:
    with TemporaryDirectory(prefix="prometheus-") as work:
        try:
            download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=", "download", "prometheus"]
            subprocess.run(download, cwd=work, check=True, capture_output=True, text=True)
            (package,) = Path(work).glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", package, target], check=True, capture_output=True)
        except (OSError, ValueError, subprocess.SubprocessError) as failure:
            words = getattr(failure, "stderr", "") or str(failure)
            raise ServerUnavailable(
                "Prometheus", [f"apt-get download prometheus: {words}"], REMEDY
            ) from failure

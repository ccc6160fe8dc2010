"""The systemd units of a project, checked by systemd itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.variants.rendering import Project, Renderer

DEPLOYMENTS = ("uvicorn", "gunicorn", "nginx")
UNITS = ("shop.service", "shop.socket", "shop-migrate.service")
# Out of 100; systemd calls 20 and less "ok" or "safe". Without any restriction it is 96.
MAX_EXPOSURE = 20


@pytest.fixture
def project(renderer: Renderer, request: pytest.FixtureRequest) -> Project:
    """The project with the answers of the parameter."""
    return renderer.render({"project_name": "Shop 100%", "description": "", **request.param})


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, or skip."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip(
            "The units were not checked: no systemd-analyze on PATH (Debian: apt-get install systemd)."
        )
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def installed(project: Project, folder: Path) -> Path:
    """Return a root in which the project and its units are installed."""
    units, programs = folder / "etc/systemd/system", folder / "srv/shop-100/.venv/bin"
    shutil.copytree(project.folder / "deploy/systemd", units)
    programs.mkdir(parents=True)
    for program in (programs / "python", folder / "bin/kill", folder / "usr/bin/true"):
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sys.executable, program)
    system = Path("/lib/systemd/system")
    for name in ("sysinit.target", "basic.target", "shutdown.target", "sockets.target", "multi-user.target"):
        (folder / "lib/systemd/system").mkdir(parents=True, exist_ok=True)
        shutil.copy(system / name, folder / "lib/systemd/system" / name)
    for name in ("network-online.target", "network.target", "-.mount", "tmp.mount", "system.slice"):
        if (system / name).exists():
            shutil.copy(system / name, folder / "lib/systemd/system" / name)
    return folder


@pytest.mark.parametrize(
    "project", [{"deployment": deployment} for deployment in DEPLOYMENTS], ids=DEPLOYMENTS, indirect=True
)
def test_systemd_accepts_the_units(project: Project, tmp_path: Path) -> None:
    root = installed(project, tmp_path / "root")
    names = sorted(path.name for path in (root / "etc/systemd/system").iterdir())
    assert names == ["shop-100-migrate.service", "shop-100.service", "shop-100.socket"]
    done = analyze("verify", "--man=no", f"--root={root}", *(f"/etc/systemd/system/{name}" for name in names))
    ours = [line for line in (done.stdout + done.stderr).splitlines() if "shop-100" in line]
    assert ours == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "project", [{"deployment": deployment} for deployment in DEPLOYMENTS], ids=DEPLOYMENTS, indirect=True
)
@pytest.mark.parametrize("unit", ["shop-100.service", "shop-100-migrate.service"])
def test_a_unit_may_do_little(project: Project, unit: str) -> None:
    path = project.folder / "deploy/systemd" / unit
    done = analyze("security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}", str(path))
    assert done.returncode == 0, done.stdout
    assert re.search(r"Overall exposure level for \S+: [01]\.\d ", done.stdout), done.stdout


@pytest.mark.parametrize("project", [{}], ids=["default"], indirect=True)
def test_the_port_is_the_default_one_and_stops_are_long_enough(project: Project) -> None:
    service = project.read("deploy/systemd/shop-100.service")
    assert "ListenStream=127.0.0.1:8000\n" in project.read("deploy/systemd/shop-100.socket")
    assert re.search(r"# GRACEFUL_TIMEOUT_SECONDS=30$", project.read(".env.example"), re.MULTILINE)
    assert "\nTimeoutStopSec=45\n" in service
    assert "Description=Shop 100%%\n" in service

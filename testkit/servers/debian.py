"""Packages of any release of Debian, unpacked into a folder: neither root nor an installation is needed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from testkit.servers.errors import NotUsable

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def unpack(suite: str, packages: Sequence[str], target: Path) -> None:
    """Unpack these packages of the release, without their dependencies, or raise `NotUsable`."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb") or not KEYRING.exists():
        raise NotUsable("apt-get, dpkg-deb or the keyring of Debian is missing")
    with TemporaryDirectory(prefix="debian-") as name:
        work = Path(name)
        for part in ("lists/partial", "cache/archives/partial", "parts", "debs"):
            (work / part).mkdir(parents=True)
        (work / "parts/debian.sources").write_text(
            f"Types: deb\nURIs: {_mirror()}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
        )
        places = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": work / "parts",
            "Dir::State::lists": work / "lists",
            "Dir::Cache": work / "cache",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
        }
        apt = [
            "apt-get",
            "-qq",
            *(word for item in places.items() for word in ("-o", f"{item[0]}={item[1]}")),
        ]
        _run([*apt, "update"], work)
        _run([*apt, "download", *packages], work / "debs")
        for package in sorted((work / "debs").glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(target)], work)


def _mirror() -> str:
    """Return the mirror of this system's own packages."""
    listing = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    mirrors = [line for line in _run(listing, Path("/")).split() if "security" not in line]
    if not mirrors:
        raise NotUsable("apt-get knows no mirror of Debian")
    return mirrors[0]


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise NotUsable(f"`{' '.join(command[:2])} …` failed: {' / '.join(words)}")
    return done.stdout

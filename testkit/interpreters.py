"""The Pythons on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

SHOW_VERSION = "import sys, ssl, venv; print('%d.%d' % sys.version_info[:2])"


def find_python(version: str, others: Sequence[str] = ()) -> str | None:
    """Return the path of a Python of this version, such as `3.12`, if any; `others` are tried last."""
    for path in (*_candidates(version), *others):
        done = subprocess.run(
            [path, "-c", SHOW_VERSION], capture_output=True, text=True, check=False, timeout=30
        )
        # A shim of pyenv exists for versions that are not in use, and fails.
        if done.stdout.strip() == version:
            return path
    return None


def _candidates(version: str) -> Iterator[str]:
    """Yield candidates for this version: on PATH, or beside this interpreter, as pyenv installs them."""
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    siblings = Path(sys.base_prefix).parent.glob(f"*{version}*/bin/python{version}")
    yield from map(str, sorted(siblings))

"""Copies of this checkout, and git and pip without user settings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
GIT_IDENTITY = {
    "GIT_AUTHOR_NAME": "Tess Ter",
    "GIT_AUTHOR_EMAIL": "tess@example.org",
    "GIT_COMMITTER_NAME": "Tess Ter",
    "GIT_COMMITTER_EMAIL": "tess@example.org",
}


def git(folder: Path, *arguments: str) -> str:
    """Run git with an identity for tests and without user settings, and return its output."""
    hermetic = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", **GIT_IDENTITY}
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | hermetic, check=True, capture_output=True, text=True
    ).stdout.strip()


def copy_checkout(target: Path) -> Path:
    """Copy the checkout under test, including uncommitted changes, without git, and return the copy."""
    listed = git(REPOSITORY, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in listed:
        if name and (REPOSITORY / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target / name)
    return target


def commit_all(folder: Path, tag: str) -> None:
    """Make the folder a repository with all files in one tagged commit."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "Everything")
    git(folder, "tag", tag)


def pip_install(what: str | Path, site: Path) -> Mapping[str, str]:
    """Install FastForge alone into the folder `site`, and return the environment in which it is found."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--root-user-action=ignore", "--target", site, str(what)],
        check=True,
    )
    return os.environ | {"PYTHONPATH": str(site)}

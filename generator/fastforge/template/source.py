"""Find the template on this machine, and the repository and commit that it came from."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fastforge.git import GitFailed, run_git

DISTRIBUTION = "fastforge-template"
_PACKAGE = Path(__file__).parents[1]
_PACKAGED = _PACKAGE / "_template"
_TEMPLATE_PATHS = ("copier.yml", "macros", "template", "kit")


@dataclass(frozen=True)
class Source:
    """The URL and the commit that later updates need. Copier can clone the URL.

    `is_kept` if it is a repository that FastForge keeps itself (see `kept_repository`).
    """

    url: str
    commit: str
    is_kept: bool = False


class SourceUnknown(Exception):
    """No repository and commit can be recorded; the message has the reason."""


def template_directory() -> Path:
    """Return the directory of `copier.yml`: the packaged one, or the checkout of an editable install."""
    return _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parents[1]


def find_source() -> Source:
    """Return the repository and commit to record in a generated project.

    Raises:
        SourceUnknown: FastForge was not installed from a git repository, or from uncommitted changes.
    """
    commit = template_commit()
    url = _repository_url()
    if url:
        return Source(url, commit)
    if not packaged_history().is_file():
        raise SourceUnknown(build_facts()["no_history"] or "it was not installed from a git repository")
    return Source(f"git+{kept_repository().as_uri()}", commit, is_kept=True)


def template_commit() -> str:
    """Return the output of `git describe --tags --always` for the template.

    Raises:
        SourceUnknown: It was not in a git repository when it was packaged, or it had uncommitted changes.
    """
    build = build_facts()
    if build["dirty"]:
        raise SourceUnknown("its template had uncommitted changes")
    if not build["commit"]:
        raise SourceUnknown(build["no_history"])
    return str(build["commit"])


def _repository_url() -> str | None:
    """Return the URL that pip recorded (PEP 610), as Copier spells a repository; None if it is not one."""
    from importlib import metadata

    try:
        recorded = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError as error:
        raise SourceUnknown("it is not installed") from error
    direct_url: dict[str, Any] = json.loads(recorded or "{}")
    url = direct_url.get("url", "")
    if direct_url.get("vcs_info", {}).get("vcs") == "git":
        return f"git+{url}"
    if "dir_info" in direct_url and (Path(unquote(urlsplit(url).path)) / ".git").exists():
        return f"git+{url}"
    return None


def packaged_history() -> Path:
    """Return the path of the bundle with the template's history, which an installed FastForge carries."""
    return _PACKAGED / "history.bundle"


def kept_repository() -> Path:
    """Return the repository that plain Copier updates from if FastForge came from a wheel.

    Raises:
        SourceUnknown: The user has no home directory.
    """
    try:
        data = Path(os.environ.get("XDG_DATA_HOME", ""))
        return (data if data.is_absolute() else Path.home() / ".local/share") / "fastforge/template.git"
    except RuntimeError as error:
        raise SourceUnknown(f"no home directory was found to keep it in ({error})") from error


def build_facts() -> dict[str, Any]:
    """Return the template's commit, if there were uncommitted changes, and why it has no history."""
    if not _PACKAGED.is_dir():
        return _checkout_facts(template_directory())
    facts: dict[str, Any] = json.loads((_PACKAGED / "build.json").read_bytes())
    return facts


def _checkout_facts(checkout: Path) -> dict[str, Any]:
    try:
        is_shallow = run_git(checkout, "rev-parse", "--is-shallow-repository") == "true"
        return {
            "commit": run_git(checkout, "describe", "--tags", "--always"),
            "dirty": bool(run_git(checkout, "status", "--porcelain", "--", *_TEMPLATE_PATHS)),
            "no_history": "it is a shallow clone; git fetch --unshallow completes it" if is_shallow else None,
        }
    except GitFailed as error:
        raise SourceUnknown(str(error)) from error

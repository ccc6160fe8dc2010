"""Where the template lies on this machine, and which repository and commit it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fastforge.git import GitFailed, run_git

DISTRIBUTION = "fastforge-template"
_PACKAGE = Path(__file__).parent
_PACKAGED = _PACKAGE / "_template"


@dataclass(frozen=True)
class Source:
    """What later updates need: a URL that Copier can clone, and the commit that is being rendered."""

    url: str
    commit: str


class SourceUnknown(Exception):
    """No repository and commit can be recorded; the message says why."""


def template_folder() -> Path:
    """Return the folder of `copier.yml` and `template/`: packaged, or an editable install's checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _PACKAGE.parents[1]


def find_source() -> Source:
    """Return the repository and commit to record in a generated project.

    Raises:
        SourceUnknown: FastForge was not installed from a git repository, or from uncommitted changes.
    """
    url = _repository_url()
    return Source(url, template_commit())


def template_commit() -> str:
    """Return what `git describe --tags --always` says about the template.

    Raises:
        SourceUnknown: It was not under git when it was packaged, or it had uncommitted changes.
    """
    build = _build_facts() if _PACKAGED.is_dir() else _checkout_facts(template_folder())
    if build["dirty"]:
        raise SourceUnknown("its template had uncommitted changes")
    if not build["commit"]:
        raise SourceUnknown("it was built without git")
    return str(build["commit"])


def _repository_url() -> str:
    """Return the URL that pip recorded (PEP 610), in the spelling that Copier takes for a repository."""
    from importlib import metadata

    try:
        recorded = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError as error:
        raise SourceUnknown("it is not installed") from error
    direct_url: dict[str, Any] = json.loads(recorded or "{}")
    url = direct_url.get("url", "")
    if direct_url.get("vcs_info", {}).get("vcs") == "git":
        return f"git+{url}"
    if "dir_info" not in direct_url:
        raise SourceUnknown("it was not installed from a git repository")
    clone = Path(unquote(urlsplit(url).path))
    if not (clone / ".git").exists():
        raise SourceUnknown(f"{str(clone)!r}, where it was installed from, is no git repository")
    return f"git+{url}"


def _build_facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((_PACKAGED / "build.json").read_bytes())
    return facts


def _checkout_facts(checkout: Path) -> dict[str, Any]:
    try:
        return {
            "commit": run_git(checkout, "describe", "--tags", "--always"),
            "dirty": bool(run_git(checkout, "status", "--porcelain", "--", "copier.yml", "template")),
        }
    except GitFailed as error:
        raise SourceUnknown(str(error)) from error

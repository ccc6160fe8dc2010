"""Build hook of the distribution: its version from git, and the template with its commit and its history."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TEMPLATE_PATHS = ("copier.yml", "macros", "template", "kit")
BUILD_FACTS = "template-build.json"
HISTORY = "template-history.bundle"
# Files that remain after the template ran in place. Only used without git, which lists the template's files.
LEFT_OVERS = {
    ".coverage",
    ".env",
    ".git",
    ".hypothesis",
    ".venv",
    "__pycache__",
    "node_modules",
    "results",
    "var",
}


class TemplateBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Add the template, the measuring kit, `build.json` and `history.bundle` to the distribution."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill in `force_include`. An editable install reads the checkout."""
        if version == "editable":
            return
        root = Path(self.root)
        is_wheel = self.target_name == "wheel"
        folder = "fastforge/_template/" if is_wheel else ""
        included = {str(root / path): f"{folder}{path}" for path in template_files(root)}
        for made in self._made_files(root):
            name = f"{folder}{made.name.removeprefix('template-')}" if is_wheel else made.name
            included[str(made)] = name
        build_data["force_include"] |= included

    def _made_files(self, root: Path) -> list[Path]:
        self.scratch = tempfile.TemporaryDirectory()
        facts_file = Path(self.scratch.name) / BUILD_FACTS
        bundle = Path(self.scratch.name) / HISTORY
        facts = build_facts(root) | {"no_history": write_history(root, bundle)}
        facts_file.write_text(json.dumps(facts) + "\n")
        return [facts_file, bundle] if bundle.exists() else [facts_file]

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove the files that `initialize` wrote for the build."""
        if version != "editable":
            self.scratch.cleanup()


def project_version(root: Path) -> str:
    """Return the version: that of the tag `v1.2.3`, or a development version after it.

    hatchling calls this in a checkout; an sdist contains its version. Without git, it is 0.
    """
    if not is_repository(root):
        return "0"
    described = git(root, "describe", "--tags", "--long", "--dirty", "--always", "--match=v[0-9]*").strip()
    found = re.fullmatch(r"v(\d+\.\d+\.)(\d+)-(\d+)-(g[0-9a-f]+)(-dirty)?", described)
    if found is None:
        commit = described.removesuffix("-dirty")
        return f"0.dev{git(root, 'rev-list', '--count', 'HEAD').strip()}+g{commit}"
    release, patch, commits, commit, is_dirty = found.groups()
    if commits == "0" and not is_dirty:
        return f"{release}{patch}"
    return f"{release}{int(patch) + 1}.dev{commits}+{commit}{'.dirty' if is_dirty else ''}"


def template_files(root: Path) -> list[str]:
    """Return the template's files, relative to the root: those in git, or all except generated ones."""
    if is_repository(root):
        tracked = git(root, "ls-files", "-z", "--", *TEMPLATE_PATHS).split("\0")
        return [path for path in tracked if path and (root / path).is_file()]
    folders = [root / path for path in TEMPLATE_PATHS if (root / path).is_dir()]
    found = (
        path.relative_to(root) for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()
    )
    return ["copier.yml", *(path.as_posix() for path in found if not is_left_over(path))]


def is_left_over(path: Path) -> bool:
    """Return True if running the template created the path."""
    return any(
        part in LEFT_OVERS
        or part.endswith((".pyc", ".egg-info", ".db", ".db-wal", ".db-shm"))
        or (part[:1] == "." and part.endswith("_cache"))
        for part in path.parts
    )


def build_facts(root: Path) -> dict[str, Any]:
    """Return the template's commit, and True if it had uncommitted changes. An sdist contains both."""
    if is_repository(root):
        return {
            "commit": git(root, "describe", "--tags", "--always").strip(),
            "dirty": bool(git(root, "status", "--porcelain", "--", *TEMPLATE_PATHS).strip()),
        }
    if (root / BUILD_FACTS).is_file():
        facts: dict[str, Any] = json.loads((root / BUILD_FACTS).read_bytes())
        return facts
    return {"commit": None, "dirty": False, "no_history": "it was built without git"}


def write_history(root: Path, bundle: Path) -> str | None:
    """Write the history of the commit and of all version tags. Return the reason if that is impossible.

    The bundle is cloned to check that it is complete: git bundles shallow clones, too, but cannot read them.
    """
    if not is_repository(root):
        if (root / HISTORY).is_file():
            shutil.copyfile(root / HISTORY, bundle)
        reason: str | None = build_facts(root)["no_history"]
        return reason
    clone = bundle.with_name("verified")
    if git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        return "it was built from a shallow clone"
    try:
        # One thread, so that the same history gives the same bytes.
        git(root, "-c", "pack.threads=1", "bundle", "create", "--quiet", str(bundle), "HEAD", "--tags=v*")
        git(root, "clone", "--quiet", "--bare", str(bundle), str(clone))
        commit = git(root, "rev-parse", "HEAD").strip()
        git(root, "--git-dir", str(clone), "cat-file", "-e", f"{commit}:template")
    except subprocess.CalledProcessError as error:
        bundle.unlink(missing_ok=True)
        return f"git could not bundle its history ({error.stderr.strip().splitlines()[0]})"
    return None


def is_repository(root: Path) -> bool:
    """Return True if the root is the top of a repository that git can read."""
    try:
        return (root / ".git").exists() and git(root, "rev-parse", "--verify", "HEAD") != ""
    except (OSError, subprocess.CalledProcessError):
        return False


def git(root: Path, *arguments: str) -> str:
    """Return the output of git, which trusts the root: pip may build as another user than its owner."""
    command = ["git", "-c", f"safe.directory={root}", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout

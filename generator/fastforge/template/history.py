"""The versions of the template, from the history that FastForge carries. No network is needed."""

from __future__ import annotations

import io
import os
import re
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastforge.errors import UserError, WorkFailed
from fastforge.git import HERMETIC, GitFailed, run_git, run_git_bytes
from fastforge.template.source import (
    SourceUnknown,
    build_facts,
    kept_repository,
    packaged_history,
    template_directory,
)

_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")
_RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True)
class History:
    """The template's repository, and the version that this FastForge was built from."""

    repository: Path
    newest: str

    def commit(self, version: str) -> str:
        """Return the full hash of a version, which is a tag, with or without `v`, or a commit.

        Raises:
            UserError: This FastForge does not know the version.
        """
        for name in (version, f"v{version}") if _VERSION.fullmatch(version) else ():
            try:
                return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            except GitFailed:
                continue
        raise UserError(
            f"This FastForge, {self.newest}, does not know the template's version {version!r}.",
            "Upgrade FastForge if that version is newer. Otherwise, check the spelling.",
        )

    def recorded_commit(self, version: str, url: str) -> str:
        """Return the full hash of the commit that a project records.

        Raises:
            UserError: This FastForge does not know it.
        """
        try:
            return self.commit(version)
        except UserError as error:
            source = f" from {url!r}" if url else ""
            raise UserError(
                error.message,
                f"Upgrade FastForge if a newer one generated the project{source}. Others cannot be updated.",
            ) from error

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Return True if the commit `older` is part of the history of `newer`."""
        try:
            self._git("merge-base", "--is-ancestor", older, newer)
        except GitFailed:
            return False
        return True

    def name(self, commit: str) -> str:
        """Return the name that Copier records for the commit: its tag, or the nearest tag and its hash."""
        return self._git("describe", "--tags", "--always", commit)

    def unpack(self, commit: str, *paths: str, into: Path) -> Path:
        """Write these paths, as they were at the commit, to the directory, and return it."""
        archive = run_git_bytes(
            self.repository, "archive", "--format=tar", commit, "--", *paths, variables=HERMETIC
        )
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(into, filter="tar")
        return into

    def has(self, commit: str, path: str) -> bool:
        """Return True if the commit has the file or directory."""
        return bool(self._git("ls-tree", "--name-only", commit, "--", path))

    def read_texts(self, commit: str, directory: str) -> dict[str, str]:
        """Return the text files of the directory at the commit, by name; empty if it does not exist."""
        listed = self._git("ls-tree", "--name-only", "-z", commit, f"{directory}/").split("\0")
        return {Path(path).name: self._git("show", f"{commit}:{path}") for path in listed if path}

    def _git(self, *arguments: str) -> str:
        # The checkout of an editable installation may belong to another user. pip has already trusted it.
        trust = {"GIT_CONFIG_KEY_1": "safe.directory", "GIT_CONFIG_VALUE_1": "*"}
        return run_git(self.repository, *arguments, variables={**HERMETIC, **trust})


@contextmanager
def open_history() -> Iterator[History]:
    """Yield the history of the template.

    Raises:
        WorkFailed: This FastForge has none.
    """
    try:
        facts = build_facts()
    except SourceUnknown as why:
        raise _no_history(str(why)) from why
    if facts["no_history"]:
        raise _no_history(facts["no_history"])
    if not packaged_history().is_file():
        yield History(template_directory(), facts["commit"])
        return
    with tempfile.TemporaryDirectory(prefix="fastforge-") as directory:
        try:
            run_git(Path(directory), "clone", "--quiet", "--bare", str(packaged_history()), "template.git",
                    variables=HERMETIC)  # fmt: skip
        except GitFailed as error:
            raise WorkFailed(
                f"The template's history cannot be read: {error}.", "Is git installed?"
            ) from error
        yield History(Path(directory) / "template.git", facts["commit"])


def keep_repository(commit: str) -> None:
    """Create or complete the repository that plain Copier updates from, if FastForge came from a wheel.

    Raises:
        SourceUnknown: It cannot be written.
    """
    repository = kept_repository()
    try:
        if repository.is_dir():
            _fetch(repository, commit)
            return
        repository.parent.mkdir(parents=True, exist_ok=True)
        made = repository.with_name(f".{secrets.token_hex(4)}.git")
        try:
            run_git(repository.parent, "init", "--quiet", "--bare", made.name, variables=HERMETIC)
            _fetch(made, commit)
            _rename_unless_there(made, repository)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except (GitFailed, OSError) as error:
        raise SourceUnknown(f"{str(repository)!r} cannot be written ({error})") from error


def _rename_unless_there(made: Path, repository: Path) -> None:
    try:
        made.rename(repository)
    except OSError:
        if not repository.is_dir():
            raise


def _fetch(repository: Path, commit: str) -> None:
    # A branch for each version, so that a clone of the repository has every commit that was recorded.
    branch = f"refs/heads/built/{commit}"
    wanted = ("+refs/tags/*:refs/tags/*", f"+HEAD:{branch}")
    run_git(repository, "fetch", "--quiet", "--no-write-fetch-head", os.fspath(packaged_history()), *wanted,
            variables=HERMETIC)  # fmt: skip
    run_git(repository, "symbolic-ref", "HEAD", branch, variables=HERMETIC)


def _no_history(reason: str) -> WorkFailed:
    return WorkFailed(
        f"This FastForge has no history of its template, because {reason}.",
        "Install it from a full git clone, or from a wheel that was built from one.",
    )


def release_number(version: str) -> tuple[int, ...] | None:
    """Return the numbers of a release such as v1.2.3, or None for anything else."""
    found = _RELEASE.fullmatch(version)
    return tuple(map(int, found.groups())) if found else None

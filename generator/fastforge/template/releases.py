"""The records of releases: their optimizations with measurements, breaking changes and manual steps."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastforge.template.history import History, release_number
from fastforge.template.questions import Answers

RECORDS = "docs/releases"


@dataclass(frozen=True)
class Optimization:
    """An optimization: its effect, the file with the measurement, and the answers that include it."""

    title: str
    effect: str
    measurement: str
    only: Mapping[str, list[str]] = field(default_factory=dict)

    def concerns(self, answers: Answers) -> bool:
        """Return True if a project with these answers includes it."""
        return all(answers.get(name) in values for name, values in self.only.items())


@dataclass(frozen=True)
class Release:
    """One release. `renamed_settings` maps a setting's old name to its new one."""

    version: str
    date: str
    summary: str
    optimizations: list[Optimization] = field(default_factory=list)
    breaking: list[str] = field(default_factory=list)
    manual_steps: list[str] = field(default_factory=list)
    renamed_settings: Mapping[str, str] = field(default_factory=dict)


def read_release(text: str) -> Release:
    """Return the release that a record describes.

    Raises:
        ValueError: It is not TOML, its version is invalid, or a key is missing or unknown.
    """
    record: dict[str, Any] = tomllib.loads(text)
    try:
        optimizations = [Optimization(**row) for row in record.pop("optimizations", [])]
        release = Release(optimizations=optimizations, **record)
    except TypeError as error:
        raise ValueError(str(error).partition("() ")[2]) from error
    if release_number(release.version) is None:
        raise ValueError(f"{release.version!r} is not a version such as 1.2.3")
    return release


def releases_between(history: History, old: str, new: str) -> list[Release]:
    """Return the releases that are recorded at the commit `new` but not at `old`, oldest first."""
    known = history.read_texts(old, RECORDS)
    texts = {name: text for name, text in history.read_texts(new, RECORDS).items() if name.endswith(".toml")}
    releases = [read_release(text) for name, text in texts.items() if name not in known]
    return sorted(releases, key=lambda release: release_number(release.version) or ())


def describe_releases(releases: Iterable[Release], answers: Answers) -> dict[str, Any]:
    """Return the effect of the releases on a project with these answers, for JSON."""
    releases = list(releases)
    return {
        "releases": [
            {"version": each.version, "date": each.date, "summary": each.summary} for each in releases
        ],
        "optimizations": [
            {
                "release": release.version,
                "title": each.title,
                "effect": each.effect,
                "measurement": each.measurement,
            }
            for release in releases
            for each in release.optimizations
            if each.concerns(answers)
        ],
        "breaking": [text for release in releases for text in release.breaking],
        "manual_steps": [text for release in releases for text in release.manual_steps],
        "renamed_settings": {
            old: new for release in releases for old, new in release.renamed_settings.items()
        },
    }


def release_lines(brings: Mapping[str, Any]) -> list[str]:
    """Return the output of `describe_releases` as lines for people."""
    optimizations = [
        f"  {each['title']}: {each['effect']} (since {each['release']}; {each['measurement']})"
        for each in brings["optimizations"]
    ]
    renamed = [f"  {old} is now {new}" for old, new in brings["renamed_settings"].items()]
    sections = {
        "Optimizations:": optimizations,
        "Breaking changes:": [f"  {text}" for text in brings["breaking"]],
        "Manual steps:": [f"  {text}" for text in brings["manual_steps"]],
        "Renamed settings:": renamed,
    }
    return [line for title, lines in sections.items() if lines for line in ["", title, *lines]]

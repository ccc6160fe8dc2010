"""The supported Pythons: declared alike everywhere, and fetched from this machine's package mirror."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.repository import REPOSITORY, TEMPLATE
from tests.variants import debian
from tests.variants.debian import NotFetched, fetch, mirrors
from tests.variants.interpreters import SUPPORTED


def test_the_pythons_that_are_tested_are_those_that_are_declared() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    prefix = "Programming Language :: Python :: "

    assert declared["requires-python"] == f">={SUPPORTED[0]}"
    assert tuple(
        line.removeprefix(prefix) for line in declared["classifiers"] if line.startswith(prefix)
    ) == (SUPPORTED)


def test_a_project_is_tested_on_the_same_pythons() -> None:
    workflow = (TEMPLATE / ".github/workflows/ci.yml.jinja").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)

    assert tuple(matrix.replace('"', "").split(", ")) == SUPPORTED


def test_the_image_has_one_of_the_pythons_that_are_tested() -> None:
    images = set(re.findall(r"FROM python:(\S+)-slim", (TEMPLATE / "Dockerfile.jinja").read_text()))

    assert len(images) == 1
    assert images <= set(SUPPORTED)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for settings of apt, instead of this machine's."""
    (tmp_path / "sources.list.d").mkdir()
    monkeypatch.setattr(debian, "SETTINGS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "Types: deb\nURIs: https://mirror.example.org/debian\nSuites: bookworm\n",
        "# deb http://old.example.org/debian sid main\ndeb https://mirror.example.org/debian bookworm main\n",
        "deb [signed-by=/usr/share/k.gpg arch=amd64] https://mirror.example.org/debian bookworm main\n",
    ],
    ids=["deb822", "one line", "one line with options"],
)
def test_the_mirror_is_the_one_that_this_machine_uses(settings: Path, text: str) -> None:
    (settings / "sources.list.d" / "some.sources").write_text(text)
    (settings / "sources.list.d" / "security.list").write_text(
        "deb https://mirror.example.org/debian-security bookworm-security main\n"
    )

    assert list(mirrors()) == ["https://mirror.example.org/debian"]


def test_an_unknown_mirror_is_reported(settings: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFetched, match="not a Debian system whose apt settings name a mirror"):
        fetch(tmp_path / "python", SUPPORTED[-1])
    assert not (tmp_path / "python").exists()

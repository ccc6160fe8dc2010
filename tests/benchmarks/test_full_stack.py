"""Checkouts of fastapi/full-stack-fastapi-template, and folders that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.comparisons.full_stack import checkout
from tests.conftest import commit_all


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    routes = tmp_path / "clone/backend/app/api/routes"
    routes.mkdir(parents=True)
    (routes / "items.py").touch()
    for name in ("pyproject.toml", "uv.lock"):
        (tmp_path / "clone" / name).touch()
    commit_all(tmp_path / "clone", "0.1.0")
    return tmp_path / "clone"


def test_a_checkout_is_accepted(clone: Path) -> None:
    assert checkout(str(clone)) == clone


@pytest.mark.parametrize(
    "folder", ["", "missing", "clone/backend"], ids=["not a repository", "missing", "within"]
)
def test_a_folder_that_is_not_a_checkout_is_named_with_the_next_step(
    folder: str, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = str(clone.parent / folder)
    monkeypatch.setattr("sys.argv", ["benchmarks", "--published", "--full-stack", name])
    with pytest.raises(SystemExit) as refused:
        main()
    expected = f"{name!r} is not a checkout of fastapi/full-stack-fastapi-template 0.10.0 or newer. Clone"
    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)


def test_a_checkout_of_another_repository_is_refused(clone: Path) -> None:
    (clone / "backend/app/api/routes/items.py").rename(clone / "backend/app/main.py")
    commit_all(clone, "0.2.0")
    with pytest.raises(SystemExit, match="is not a checkout"):
        checkout(str(clone))

"""The command and plain Copier have the same questions and answers, and write the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from fastforge.errors import UserError
from fastforge.template.render import render
from fastforge.template.request import RenderRequest
from fastforge.template.source import Source
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.conftest import (
    Installation,
    Result,
    RunFastForge,
    build,
    commit_all,
    copy_checkout,
    git,
    pip_install,
)

ANSWERS: list[dict[str, str]] = [
    {},
    {"database": "postgres", "cache": "redis", "deployment": "gunicorn"},
    {"database": "mongodb", "mongodb_driver": "motor", "serializer": "pydantic", "compression": "gzip"},
    {"cache": "none", "compression": "none", "deployment": "nginx"},
    {"project_name": 'Żółw "API" & <b>\'s', "description": "a: \"b\" # {{ c }} {% d %} \\ <script> 'e'"},
]


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (
        path for path in folder.rglob("*") if path.is_file() and ".git" not in path.relative_to(folder).parts
    )
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o111) for path in files}


@pytest.fixture(scope="session")
def copier_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    no_settings = tmp_path_factory.mktemp("settings") / "settings.yml"
    no_settings.write_text("{}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COPIER_CACHE_DIR", str(tmp_path_factory.mktemp("copier")))
        patch.setenv("COPIER_SETTINGS_PATH", str(no_settings))
        yield


def plain_copy(clone: Path, target: Path, answers: dict[str, str]) -> None:
    copier.run_copy(f"git+file://{clone}", target, answers, vcs_ref="HEAD", defaults=True, quiet=True)


@pytest.mark.usefixtures("copier_cache")
@pytest.mark.parametrize("answers", ANSWERS, ids=str)
def test_the_command_and_plain_copier_write_the_same_bytes(
    fastforge: RunFastForge, installation: Installation, tmp_path: Path, work: Path, answers: dict[str, str]
) -> None:
    (tmp_path / "plain").mkdir()
    plain_copy(installation.clone, tmp_path / "plain/orders", answers)

    assert fastforge("new", "orders", "--answers", "-", stdin=yaml.safe_dump(answers)).exit_code == 0

    assert tree(work / "orders") == tree(tmp_path / "plain/orders")


NAMES = st.text(min_size=1, max_size=55) | st.from_regex(r"[A-Za-z0-9 ._/\\-]{1,20}", fullmatch=True)


@pytest.mark.usefixtures("copier_cache")
@given(name=NAMES)
@example(name="class")
@example(name="Async IO")
@example(name="3d")
@example(name="a..b")
@example(name=" a")
@example(name="日本語 API")
@example(name="e\u0301te\u0301")
@example(name="\u202eabc")
@example(name="a\u2028b")
@example(name="{{ 1 + 1 }}")
@example(name="{% raw %}")
@example(name="yes")
@example(name="null")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_command_and_plain_copier_accept_the_same_project_names(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("name")
    source = Source(f"git+file://{installation.clone}", "v0.0.1")
    request = RenderRequest({"project_name": name}, {"project_name": name}, source=source)
    (folder / "plain").mkdir()
    try:
        render(request, folder / "staging/orders")
    except UserError as error:
        assert len(error.message.splitlines()) == 1
        with pytest.raises(ValueError, match="Validation error"):
            plain_copy(installation.clone, folder / "plain/orders", {"project_name": name})
    else:
        plain_copy(installation.clone, folder / "plain/orders", {"project_name": name})
        assert tree(folder / "staging/orders") == tree(folder / "plain/orders")
    shutil.rmtree(folder)


def test_the_users_copier_settings_change_nothing(fastforge: RunFastForge, tmp_path: Path) -> None:
    (tmp_path / "settings.yml").write_text("defaults:\n  database: postgres\n")

    document = fastforge(
        "new", "a", "--json", variables={"COPIER_SETTINGS_PATH": str(tmp_path / "settings.yml")}
    ).document

    assert document["answers"]["database"] == "sqlite"


@pytest.mark.usefixtures("copier_cache")
def test_a_project_can_be_updated_from_its_recorded_source(
    fastforge: RunFastForge, installation: Installation, tmp_path: Path, work: Path
) -> None:
    newer = tmp_path / "newer"
    git(tmp_path, "clone", "--quiet", str(installation.clone), str(newer))
    fastforge("new", "a", "--description", "Kept.")
    (newer / "template/NEWS.md").write_text("new\n")
    git(newer, "add", "--all")
    git(newer, "commit", "--quiet", "-m", "News")
    git(newer, "tag", "v0.0.2")
    redirected = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{newer}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"file://{installation.clone}",
        "COPIER_CACHE_DIR": str(tmp_path / "cache"),
    }

    subprocess.run(
        [sys.executable, "-m", "copier", "update", "--defaults", "--quiet"],
        cwd=work / "a",
        env=os.environ | redirected,
        check=True,
    )

    assert (work / "a/NEWS.md").read_text() == "new\n"
    recorded = yaml.safe_load((work / "a/.copier-answers.yml").read_text())
    assert (recorded["_commit"], recorded["description"]) == ("v0.0.2", "Kept.")


def new_project(environment: Any, folder: Path) -> Result:
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "fastforge", "new", "a", "--no-git", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a separate clone, in a folder whose name needs escaping in a URL."""
    folder = tmp_path / "my clone"
    folder.mkdir()
    copy_checkout(folder)
    commit_all(folder, "v1.0.0")
    return folder


def test_an_installation_from_a_clone_records_the_clone(clone: Path, tmp_path: Path) -> None:
    document = new_project(pip_install(clone, tmp_path / "site"), tmp_path / "out").document

    assert document["source"] == {"url": f"git+{clone.as_uri()}", "commit": "v1.0.0"}
    recorded = yaml.safe_load((tmp_path / "out/a/.copier-answers.yml").read_text())
    assert (recorded["_src_path"], recorded["_commit"]) == (f"git+{clone.as_uri()}", "v1.0.0")


def test_an_installation_from_a_git_url_records_the_url(clone: Path, tmp_path: Path) -> None:
    plain = clone.rename(tmp_path / "plain")

    document = new_project(pip_install(f"git+{plain.as_uri()}", tmp_path / "site"), tmp_path / "out").document

    assert document["source"] == {"url": f"git+{plain.as_uri()}", "commit": "v1.0.0"}


def test_commits_after_a_tag_are_described(clone: Path, tmp_path: Path) -> None:
    (clone / "template/new.txt").write_text("x")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "More")

    document = new_project(pip_install(clone, tmp_path / "site"), tmp_path / "out").document

    assert document["source"]["commit"] == git(clone, "describe", "--tags", "--always")


def test_an_untracked_file_is_not_packaged(clone: Path, tmp_path: Path) -> None:
    for name in (".venv/bin/python", "var/app.db", "app/__pycache__/x.pyc", ".env"):
        (clone / "template" / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / "template" / name).write_text("left over")

    packaged = {
        path.relative_to(tmp_path / "site/fastforge/_template/template").as_posix()
        for path in Path(pip_install(clone, tmp_path / "site")["PYTHONPATH"]).rglob("_template/template/**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert packaged == set(git(clone / "template", "ls-files").splitlines())


def test_uncommitted_changes_of_the_template_record_no_source(clone: Path, tmp_path: Path) -> None:
    (clone / "copier.yml").write_text((clone / "copier.yml").read_text() + "\n# changed\n")

    result = new_project(pip_install(clone, tmp_path / "site"), tmp_path / "out")

    assert result.document["source"] is None
    assert "uncommitted changes" in result.errors


def test_a_folder_without_git_records_no_source_and_reports_that(tmp_path: Path) -> None:
    folder = copy_checkout(tmp_path / "folder")
    for name in (".venv/bin/python", "var/app.db", "app/__pycache__/x.pyc", ".env"):
        (folder / "template" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "template" / name).write_text("left over")

    result = new_project(pip_install(folder, tmp_path / "site"), tmp_path / "out")

    assert result.document["source"] is None
    assert "cannot be updated" in result.errors
    assert "_src_path" not in (tmp_path / "out/a/.copier-answers.yml").read_text()
    packaged = tmp_path / "site/fastforge/_template/template"
    assert not (packaged / ".venv").exists()
    assert not (packaged / ".env").exists()


def test_a_folder_inside_another_repository_does_not_record_that_one(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "x").write_text("x")
    commit_all(tmp_path, "v9")
    folder = copy_checkout(tmp_path / "folder")

    result = new_project(pip_install(folder, tmp_path / "site"), tmp_path / "out")

    assert result.document["source"] is None


def test_an_sdist_builds_the_same_wheel_without_git(clone: Path, tmp_path: Path) -> None:
    direct = build("wheel", clone, tmp_path / "direct")
    sdist = build("sdist", clone, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = build("wheel", unpacked, tmp_path / "again")

    with zipfile.ZipFile(direct) as one, zipfile.ZipFile(again) as other:
        assert sorted(one.namelist()) == sorted(other.namelist())
        assert all(one.read(name) == other.read(name) for name in one.namelist())
        assert "fastforge/_template/history.bundle" in one.namelist()
        assert '"commit": "v1.0.0"' in one.read("fastforge/_template/build.json").decode()


def test_an_editable_installation_renders_and_records_the_checkout(clone: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    parent_site = next(path for path in sys.path if path.endswith("site-packages"))
    (site,) = (venv / "lib").glob("python*/site-packages")
    (site / "parent.pth").write_text(f"{parent_site}\n")
    python = str(venv / "bin/python")
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--root-user-action=ignore",
    ]
    subprocess.run([*install, "--ignore-installed", "--disable-pip-version-check", "-e", clone], check=True)

    def commit() -> Any:
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        (tmp_path / "out").mkdir()
        command = [str(venv / "bin/fastforge"), "new", "a", "--no-git", "--json"]
        done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=True)
        return Result(0, done.stdout, done.stderr).document["source"]

    assert commit() == {"url": f"git+{clone.as_uri()}", "commit": "v1.0.0"}
    (clone / "template/new.txt").write_text("x")
    assert commit() is None
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "More")
    assert commit()["commit"] == git(clone, "describe", "--tags", "--always")

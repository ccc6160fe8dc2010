"""A template with three releases, and projects that were generated from its first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import fastforge.update.batch
import fastforge.update.check
import fastforge.update.plan
import fastforge.update.run
import pytest
import yaml
from fastforge.template.history import History
from fastforge.template.render import render
from fastforge.template.request import RenderRequest
from fastforge.template.source import Source
from fastforge.update.plan import UpdateOptions
from fastforge.update.run import Update, update_project

from tests.conftest import GIT_IDENTITY, Result, build, commit_all, copy_checkout, git, pip_install
from tests.shared import shared_folder

Run = Callable[..., Result]
URL = "git+https://example.org/fastforge"
UNPACK = History.unpack
TAGS = ("v1.0.0", "v1.1.0", "v1.2.0")
WHEELS = ("v1.0.0", "v1.1.0")


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text, which must occur."""
    text = file.read_text()
    assert old in text, f"{file.name} no longer has {old!r}; choose another place to edit."
    file.write_text(text.replace(old, new, 1))


def append(file: Path, text: str) -> None:
    """Add a text at the file's end."""
    file.write_text(file.read_text() + text)


def prepend(file: Path, text: str) -> None:
    """Add a text at the file's beginning."""
    file.write_text(text + file.read_text())


def release(clone: Path, tag: str) -> None:
    """Commit everything and tag it."""
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", tag)
    git(clone, "tag", tag)


def release_1_1(clone: Path) -> None:
    """Change files at their ends and beginnings, add one, drop one, rename one, and record why."""
    template = clone / "template"
    for name in (
        "app/forge/http/middleware.py",
        f"{RESOURCE}/routes.py.jinja",
        "app/forge/database/sqlite.py",
        "app/forge/http/health.py",
    ):
        append(template / name, "\n\n# Tuned in 1.1.\n")
    for name in ("Dockerfile", "Dockerfile.jinja", "Makefile", "Makefile.jinja"):
        append(template / name, "\n# Tuned in 1.1.\n")
    (template / "app/tuning.py").write_text('"""Tuned in 1.1."""\n')
    (template / ".dockerignore").unlink()
    git(clone, "mv", "template/app/forge/observability/logs.py", "template/app/structured_logs.py")
    for file in template.rglob("*.py*"):
        if b"app.forge.observability.logs" in file.read_bytes():
            file.write_text(file.read_text().replace("app.forge.observability.logs", "app.structured_logs"))
    records = clone / "docs/releases"
    records.mkdir(parents=True, exist_ok=True)
    (records / "1.1.0.toml").write_text(RECORD)
    release(clone, "v1.1.0")


def release_1_2(clone: Path) -> None:
    """Change every module of the service, and places in the middle that owners often change, too."""
    template = clone / "template"
    for module in (template / "app").rglob("*.py"):
        for file in (module, module.with_name(f"{module.name}.jinja")):
            if file.exists():
                append(file, "\n# Looked at in 1.2.\n")
    for name, old, new in CHANGES_OF_1_2:
        for file in (template / name, template / f"{name}.jinja"):
            if file.exists():
                edit(file, old, new)
    edit(template / "app/forge/http/middleware.py", "# Tuned in 1.1.", "# Tuned again in 1.2.")
    release(clone, "v1.2.0")


CHANGES_OF_1_2 = [
    ("app/forge/database/sqlite_store.py", "EXPORT_CHUNK_ROWS = 500", "EXPORT_CHUNK_ROWS = 600"),
    ("app/forge/database/postgres_store.py", "EXPORT_CHUNK_ROWS = 1_000", "EXPORT_CHUNK_ROWS = 2_000"),
    ("app/forge/database/mongodb_store.py", "EXPORT_CHUNK_ROWS = 1_000", "EXPORT_CHUNK_ROWS = 2_000"),
    ("app/settings.py", '= "INFO"\n', '= "INFO"\n    log_source: bool = False\n'),
    ("pyproject.toml", 'readme = "README.md"\n', 'readme = "README.md"\nkeywords = ["api"]\n'),
    ("deploy/gunicorn/gunicorn.conf.py", "\ntimeout = 30\n", "\ntimeout = 45\n"),
    ("deploy/nginx/nginx.conf", "keepalive 64;", "keepalive 96;"),
    ("benchmarks/targets.toml", "p50_ms = 50\n", "p50_ms = 40\n"),
    ("compose.yaml", "restart: unless-stopped\n", "restart: always\n"),
    ("README.md", "## Start\n", "## How to start\n"),
    (".env.example", "\n\n", "\n# See the README as well.\n\n"),
    (".env.example", "# LOG_LEVEL=INFO\n", "# LOG_LEVEL=INFO\n# Where from.\n# LOG_SOURCE=false\n"),
]
# The directory from which those of all resources are rendered.
RESOURCE = "app/{% yield noun from nouns %}{{ noun.plural }}{% endyield %}"
RECORD = """
version = "1.1.0"
date = "2026-12-01"
summary = "Faster reads."
breaking = ["Logs are structured."]
manual_steps = ["Tell your log collector."]
renamed_settings = { LOGS = "LOG_LEVEL" }

[[optimizations]]
title = "Cached reads"
effect = "0.36 x the CPU of an uncached read"
measurement = "benchmarks/results/optimizations.md"
only = { cache = ["ttl", "redis"] }

[[optimizations]]
title = "Prepared statements"
effect = "0.9 x the CPU of a read"
measurement = "benchmarks/results/optimizations.md"
only = { database = ["postgres"] }
"""


@pytest.fixture(scope="session")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of the template with the releases v1.0.0, v1.1.0 and v1.2.0."""

    return shared_folder(tmp_path_factory, "releases", make_releases) / "clone"


def make_releases(folder: Path) -> Path:
    """Return a repository with the releases, made in this folder."""
    clone = copy_checkout(folder / "clone")
    shutil.rmtree(clone / "docs/releases", ignore_errors=True)
    commit_all(clone, "v1.0.0")
    release_1_1(clone)
    release_1_2(clone)
    return clone


@pytest.fixture(scope="session")
def wheels(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder that each release's wheel was installed into; the repository is out of reach."""
    folder = shared_folder(tmp_path_factory, "wheels", lambda folder: make_wheels(releases, folder))
    return {tag: folder / f"{tag}-site" for tag in WHEELS}


def make_wheels(releases: Path, folder: Path) -> dict[str, Path]:
    """Return where each release's wheel was installed, in this folder."""
    for tag in WHEELS:
        clone = folder / f"{tag}-clone"
        git(folder, "clone", "--quiet", "--branch", tag, str(releases), clone.name)
        # The later releases did not exist yet.
        git(clone, "tag", "--delete", *(later for later in TAGS if later > tag))
        wheel = build("wheel", clone, folder / f"{tag}-wheel")
        pip_install(wheel, folder / f"{tag}-site")
    return {tag: folder / f"{tag}-site" for tag in WHEELS}


@pytest.fixture
def run(wheels: dict[str, Path], tmp_path: Path) -> Run:
    """Return a function that runs one release's command, with a separate home and without a network."""

    def call(version: str, *arguments: str, cwd: Path = tmp_path, home: str = "user") -> Result:
        (tmp_path / home).mkdir(exist_ok=True)
        command = [sys.executable, "-m", "fastforge", *arguments]
        variables = {"PYTHONPATH": str(wheels[version]), "HOME": str(tmp_path / home)}
        done = subprocess.run(
            command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(autouse=True)
def no_user_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Isolate the tests from the settings of the user."""
    home = tmp_path / "user"
    home.mkdir()
    for name, value in {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", **GIT_IDENTITY}.items():
        monkeypatch.setenv(name, value)
    for name in ("XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def newest(monkeypatch: pytest.MonkeyPatch, releases: Path) -> Callable[..., None]:
    """Make this FastForge the one of a release, by default v1.1.0."""

    def use(version: str, repository: Path = releases) -> None:
        @contextmanager
        def history() -> Iterator[History]:
            yield History(repository, version)

        for module in (fastforge.update.run, fastforge.update.check, fastforge.update.batch):
            monkeypatch.setattr(module, "open_history", history)

    use("v1.1.0")
    return use


@pytest.fixture(scope="session")
def rendered(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that renders a release, each one only once."""
    made: dict[str, Path] = {}

    def get(version: str, **answers: str) -> Path:
        key = f"{version} {sorted(answers.items())}"
        if key not in made:
            folder = tmp_path_factory.mktemp("rendered")
            history = History(releases, version)
            template = UNPACK(history, version, "copier.yml", "macros", "template", into=folder / "t")
            request = RenderRequest(answers, answers, source=Source(URL, version), template=template)
            render(request, folder / "orders")
            made[key] = folder / "orders"
        return made[key]

    return get


@pytest.fixture(scope="session")
def renderings() -> dict[object, tuple[Path, dict[str, str]]]:
    """The renderings for updates, by everything that they depend on."""
    return {}


@pytest.fixture
def rendered_once(
    monkeypatch: pytest.MonkeyPatch,
    renderings: dict[object, tuple[Path, dict[str, str]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Let updates render each version with the same answers only once."""

    def once(request: RenderRequest, project: Path) -> dict[str, str]:
        asked = (request.source, sorted(request.given.items()), sorted(request.answers.items()), project.name)
        key = repr(asked)
        if key not in renderings:
            # Copier refuses links.
            template = (request.template / "copier.yml").resolve().parent if request.template else None
            answers = render(replace(request, template=template), project)
            kept = tmp_path_factory.mktemp("kept")
            renderings[key] = Path(shutil.copytree(project, kept / project.name)), answers
        folder, answers = renderings[key]
        shutil.copytree(folder, project, dirs_exist_ok=True)
        return answers

    def unpacked_once(history: History, commit: str, *paths: str, into: Path) -> Path:
        key = (history.repository, commit, paths)
        if key not in renderings:
            renderings[key] = UNPACK(history, commit, *paths, into=tmp_path_factory.mktemp("template")), {}
        into.mkdir()
        for path in paths:
            (into / path).symlink_to(renderings[key][0] / path)
        return into

    monkeypatch.setattr(History, "unpack", unpacked_once)
    monkeypatch.setattr(fastforge.update.plan, "render", once)


@pytest.fixture
def project(rendered: Callable[..., Path], newest: object, tmp_path: Path) -> Path:
    """Return a committed project of v1.0.0 with the default answers."""
    return commit_new(shutil.copytree(rendered("v1.0.0"), tmp_path / "orders"))


def answers_of(folder: Path) -> dict[str, str]:
    """Return the contents of the project's answers file."""
    recorded: dict[str, str] = yaml.safe_load((folder / ".copier-answers.yml").read_text())
    return recorded


def commit_new(folder: Path) -> Path:
    """Make the folder a repository with everything committed."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder)


def commit(folder: Path) -> Path:
    """Commit everything that is not ignored."""
    git(folder, "add", "--all", "--force", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "Mine")
    return folder


def update(folder: Path, **wanted: object) -> Update:
    """Update the project in this process."""
    return update_project(UpdateOptions(str(folder), **wanted))  # type: ignore[arg-type]


def contents(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Return type and content of every file except git's own."""
    return {
        os.fsdecode(os.path.relpath(path, folder)): _content(path)
        for path in folder.rglob("*")
        if ".git" not in path.relative_to(folder).parts and (path.is_symlink() or path.is_file())
    }


def _content(path: Path) -> tuple[str, bytes]:
    if path.is_symlink():
        return "link", os.fsencode(path.readlink())
    return "executable" if path.stat().st_mode & 0o100 else "plain", path.read_bytes()


def state(folder: Path) -> tuple[object, ...]:
    """Return the state that a failed update must not change: files, index and git's status."""
    index = git(folder, "ls-files", "--stage")
    return contents(folder), index, git(folder, "status", "--porcelain"), git(folder, "rev-parse", "HEAD")

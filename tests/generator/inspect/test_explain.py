"""`fastforge explain`: the optimizations of a project, their places, their effects and their patches."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import RunFastForge
from tests.repository import OPTIMIZATIONS, REPOSITORY

STORE = "app/forge/database/sqlite.py"


@pytest.fixture
def project(fastforge: RunFastForge, work: Path) -> Path:
    """Return a project with the default answers."""
    assert fastforge("new", "orders", "--defaults", "--no-git").exit_code == 0
    return work / "orders"


def records() -> set[str]:
    """Return the ids of the records that apply to a project with the default answers."""
    folders = ["every", "sqlite", "ttl", "any_cache", "orjson", "negotiated", "any_compression", "uvicorn"]
    return {path.stem for folder in folders for path in (OPTIMIZATIONS / folder).glob("*.toml")}


def line_of(project: Path, file: str, text: str) -> int:
    lines = (project / file).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_a_project_s_optimizations_are_listed_with_place_effect_and_undo(
    fastforge: RunFastForge, project: Path
) -> None:
    result = fastforge("explain", "orders")

    line = line_of(project, "app/forge/service.py", "Middleware(FastPathMiddleware")
    assert result.exit_code == 0
    assert f"app/forge/service.py:{line}  Endpoints found in a tree and called directly" in result.output
    assert f"fastforge explain orders/app/forge/service.py:{line}" in result.output
    assert result.output.count("Effect: ") == len(records())


def test_the_json_holds_all_that_is_known(fastforge: RunFastForge, project: Path) -> None:
    document = fastforge("explain", "--json", cwd=project).document

    by_id = {each["id"]: each for each in document["optimizations"]}
    assert document["path"] == str(project)
    assert (document["file"], document["line"], document["nearest"]) == (None, None, False)
    assert set(by_id) == records()
    assert by_id["sqlite-wal"]["applies_to"] == "sqlite"
    line = line_of(project, STORE, '"journal_mode = WAL"')
    assert by_id["sqlite-wal"]["places"][0] == {"file": STORE, "first_line": line, "last_line": line}
    assert all(each["since"] and each["why"] and each["workload"] for each in by_id.values())


def test_a_line_lists_its_optimizations(fastforge: RunFastForge, project: Path) -> None:
    line = line_of(project, STORE, '"journal_mode = WAL"')

    document = fastforge("explain", f"{STORE}:{line}", "--json", cwd=project).document

    assert [each["id"] for each in document["optimizations"]] == ["sqlite-wal"]
    assert (document["file"], document["line"], document["nearest"]) == (STORE, line, False)


def test_a_line_without_optimizations_names_the_nearest(fastforge: RunFastForge, project: Path) -> None:
    line = line_of(project, STORE, '"journal_mode = WAL"') + 1

    result = fastforge("explain", f"orders/{STORE}:{line}")

    assert f"No optimization is in {STORE}:{line}. The nearest in the file:" in result.output
    assert re.search(rf"^{STORE}:{line - 1}\b.*  A write-ahead log$", result.output, re.MULTILINE)
    assert f"fastforge explain orders/{STORE}:{line - 1}" in result.output
    document = fastforge("explain", f"orders/{STORE}:{line}", "--json").document
    assert document["nearest"]
    assert document["optimizations"][0]["id"] == "sqlite-wal"
    assert 1 < len(document["optimizations"]) <= 3


@pytest.mark.parametrize("file", ["README.md", "docs/usage.md", "template/docs/operating.md"])
def test_the_examples_in_documents_find_an_optimization(
    fastforge: RunFastForge, project: Path, file: str
) -> None:
    text = (REPOSITORY / file).read_text()
    examples = [path for path in re.findall(r"fastforge explain (?:myapi/)?(app/[\w./:]+)", text) if path]
    assert examples
    for example in examples:
        document = fastforge("explain", example, "--json", cwd=project).document
        assert document["optimizations"], example
        assert not document["nearest"], example


def test_a_file_without_optimizations_is_reported(fastforge: RunFastForge, project: Path) -> None:
    for place in ("app/forge/http/docs.py", "app/forge/http/docs.py:1"):
        said, *files = fastforge("explain", f"orders/{place}").output.splitlines()
        assert said == f"No optimization is in {place}."
        assert STORE in " ".join(files)


def test_the_undo_is_a_patch_that_git_applies(fastforge: RunFastForge, project: Path) -> None:
    (optimization,) = fastforge("explain", "app/forge/http/middleware.py", "--json", cwd=project).document[
        "optimizations"
    ]

    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run(["git", "apply", "-"], input=optimization["undo"].encode(), cwd=project, check=True)

    assert (
        "class RequestIdMiddleware(BaseHTTPMiddleware):"
        in (project / "app/forge/http/middleware.py").read_text()
    )


def test_a_place_that_a_user_changed_is_marked_as_changed(fastforge: RunFastForge, project: Path) -> None:
    file = project / STORE
    file.write_text(file.read_text().replace("journal_mode = WAL", "journal_mode = TRUNCATE"))

    shown = fastforge("explain", f"orders/{STORE}")
    document = fastforge("explain", "orders", "--json").document

    assert f"{STORE} (changed here)  A write-ahead log" in shown.output
    changed = [each for each in document["optimizations"] if each["changed_here"]]
    assert [(each["id"], each["changed_here"], each["undo"]) for each in changed] == [
        ("sqlite-wal", STORE, None)
    ]


def test_a_deleted_file_is_marked_as_changed(fastforge: RunFastForge, project: Path) -> None:
    (project / "app/forge/observability/metrics.py").unlink()

    assert (
        "app/forge/observability/metrics.py (changed here)  Metrics are looked up once"
        in fastforge("explain", "orders").output
    )


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nowhere", "'nowhere' is not a file or folder."),
        ("orders/app/nothing.py:3", "'orders/app/nothing.py' is not a file or folder."),
        (".", "has no .copier-answers.yml, so it is not a project of FastForge."),
        ("orders/app", "has no .copier-answers.yml, so it is not a project of FastForge."),
        ("alone.txt", "is not in a folder with .copier-answers.yml"),
        ("orders/app:3", "'orders/app' is a folder and has no lines."),
        ("orders/app/forge/http/docs.py:0", "so line 0 does not exist."),
        ("orders/app/forge/http/docs.py:9999", "so line 9999 does not exist."),
        ("orders/app/picture.png:1", "is not text, so it has no lines."),
    ],
)
def test_invalid_arguments_are_refused_with_a_message(
    fastforge: RunFastForge, project: Path, path: str, words: str
) -> None:
    (project.parent / "alone.txt").write_text("alone\n")
    (project / "app/picture.png").write_bytes(b"\x89PNG\xff")

    result = fastforge("explain", path)
    document = fastforge("explain", path, "--json").document

    assert result.exit_code == 2
    assert words in result.errors
    assert words in document["error"]
    assert document["hint"]


def recorded_as(project: Path, version: str) -> None:
    """Make the project record that it was generated from this version."""
    answers = project / ".copier-answers.yml"
    kept = [line for line in answers.read_text().splitlines() if not line.startswith("_commit")]
    answers.write_text("\n".join([*kept, f"_commit: {version}", ""]))


def test_a_project_of_an_older_template_needs_an_update(fastforge: RunFastForge, project: Path) -> None:
    recorded_as(project, "v0.0.0")

    result = fastforge("explain", "orders")

    assert result.exit_code == 1
    assert "fastforge update" in result.errors


def test_a_version_that_fastforge_does_not_know_is_named(fastforge: RunFastForge, project: Path) -> None:
    recorded_as(project, "v99.0.0")

    result = fastforge("explain", "orders")

    assert result.exit_code == 2
    assert "'v99.0.0'" in result.errors

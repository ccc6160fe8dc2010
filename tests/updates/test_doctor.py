"""`fastforge doctor`: faults that only FastForge can find, and those that the project's own doctor finds."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testkit.servers.process import free_port
from tests.conftest import Result, git
from tests.updates.conftest import Run, append, commit, edit
from tests.variants.environments import clean_environment, environment_of

Doctor = Callable[..., dict[str, str]]


@pytest.fixture
def project(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a committed project of v1.0.0 with its environment and a migrated database."""
    monkeypatch.setenv("PORT", str(free_port()))
    (project / ".venv").symlink_to(environment_of(project))
    migrate = [".venv/bin/python", "-m", "alembic", "upgrade", "head"]
    subprocess.run(migrate, cwd=project, env=clean_environment(), capture_output=True, check=True)
    return project


def findings(result: Result) -> dict[str, str]:
    """Return the problems by name."""
    document: dict[str, Any] = json.loads(result.output)
    assert document["healthy"] == (not document["findings"])
    assert result.exit_code == (3 if document["findings"] else 0)
    assert all(each["fix"] for each in document["findings"])
    return {each["check"]: each["problem"] for each in document["findings"]}


@pytest.fixture
def doctor(run: Run, project: Path) -> Doctor:
    """Return a function that returns the problems of the project by name."""

    def examine(version: str = "v1.0.0", *flags: str) -> dict[str, str]:
        return findings(run(version, "doctor", str(project), "--json", "--offline", *flags))

    return examine


def test_nothing_is_found_in_a_healthy_project(doctor: Doctor) -> None:
    assert doctor() == {}


def test_faults_of_the_service_are_found_by_its_own_doctor(
    run: Run, doctor: Doctor, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert doctor().keys() == set()
    assert "production.log_level" in doctor("v1.0.0", "--production")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    shown = run("v1.0.0", "doctor", "--offline", cwd=project)
    assert shown.exit_code == 3
    assert "error    settings.invalid\n    LOG_LEVEL: must be" in shown.output
    assert "1 finding." in shown.errors


def test_a_missing_environment_is_found(doctor: Doctor, project: Path) -> None:
    (project / ".venv").unlink()
    assert "has no .venv" in doctor()["environment.missing"]


def test_a_doctor_that_cannot_run_is_found_with_its_reason(doctor: Doctor, project: Path) -> None:
    append(project / "app/forge/doctor/machine.py", "raise LookupError('no such thing')\n")
    assert "no such thing" in doctor()["doctor.failed"]


def test_a_newer_template_is_found(doctor: Doctor) -> None:
    assert "v1.1.0 is available" in doctor("v1.1.0")["template.outdated"]


def test_edited_missing_and_additional_machinery_is_found(doctor: Doctor, project: Path) -> None:
    append(project / "app/forge/http/health.py", "\n# Ours.\n")
    assert "http/health.py" in doctor()["machinery.edited"]
    (project / "app/forge/ours.py").write_text("")
    assert "ours.py" in doctor()["machinery.additional"]
    (project / "app/forge/ours.py").unlink()
    (project / "app/forge/http/fast_path/__main__.py").unlink()
    assert "http/fast_path/__main__.py" in doctor()["machinery.missing"]


def test_files_of_the_owner_may_differ_from_the_template(doctor: Doctor, project: Path) -> None:
    append(project / "app/main.py", "\n# Ours.\n")
    assert doctor() == {}


def test_answers_that_were_edited_by_hand_are_found(doctor: Doctor, project: Path) -> None:
    edit(project / ".copier-answers.yml", "cache: ttl", "cache: none")
    assert "cache/ttl_cache.py" in doctor()["machinery.additional"]
    edit(project / ".copier-answers.yml", "database: sqlite", "database: postgres")
    assert "lacks" in doctor()["answers.mismatch"]
    edit(project / ".copier-answers.yml", "database: postgres", "database: oracle")
    assert "oracle" in doctor()["answers.invalid"]
    edit(project / ".copier-answers.yml", "database: oracle\n", "")
    assert "database" in doctor()["answers.missing"]
    (project / ".copier-answers.yml").write_text("<<<<<<< ours\n")
    assert "answers.unreadable" in doctor()


def test_conflicts_of_an_update_are_found(run: Run, doctor: Doctor, project: Path) -> None:
    append(project / "app/forge/http/middleware.py", "\n\n# Ours.\n")
    commit(project)
    assert run("v1.1.0", "update", str(project)).exit_code == 3
    found = doctor("v1.1.0")
    assert "app/forge/http/middleware.py" in found["update.conflicts"]
    assert "unresolved conflict" in found["update.blocked"]


def test_a_merge_in_progress_is_found(doctor: Doctor, project: Path) -> None:
    head = git(project, "rev-parse", "HEAD")
    (project / ".git/MERGE_HEAD").write_text(f"{head}\n")
    assert "merge is in progress" in doctor()["update.blocked"]


def test_a_project_outside_of_a_repository_is_checked_as_far_as_possible(run: Run, project: Path) -> None:
    shutil.rmtree(project / ".git")
    result = run("v1.0.0", "doctor", "orders", "--json", "--offline")
    assert findings(result) == {}
    assert "not in a git repository" in str(json.loads(result.output)["not_checked"])


def test_a_directory_that_is_not_a_project_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("v1.0.0", "doctor", str(tmp_path), "--json")
    assert result.exit_code == 2
    assert "FastForge did not generate it" in json.loads(result.output)["error"]

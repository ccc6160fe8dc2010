"""The migrations run up, down and up again."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.command import revision
from alembic.config import Config

from app.forge.database import open_database
from app.forge.errors import Unavailable
from app.resources import RESOURCES
from app.settings import Settings
from tests.migrate import PROJECT, migrate

AXES: tuple[str, ...] = ("database",)


async def is_migrated(settings: Settings) -> bool:
    async with open_database(settings, [resource.table for resource in RESOURCES]) as database:
        try:
            await database.ping()
        except Unavailable:
            return False
    return True


def test_migrations_run_down_and_up_again(settings: Settings, database_url: str) -> None:
    migrate(database_url, "base")
    assert not asyncio.run(is_migrated(settings))
    migrate(database_url)
    assert asyncio.run(is_migrated(settings))


@pytest.mark.parametrize("message", ["add a colour", 'say "hi" to \\n and %s', 'ends in "'])
def test_a_new_revision_is_formatted_and_without_lint(tmp_path: Path, message: str) -> None:
    folder = tmp_path / "migrations"
    configuration = Config(PROJECT / "alembic.ini")
    shutil.copytree(PROJECT / (configuration.get_main_option("script_location") or ""), folder)
    configuration.set_main_option("script_location", str(folder))
    revision(configuration, message)
    settings = ["--config", str(PROJECT / "pyproject.toml"), "--no-cache", str(folder)]
    for check in (["format", "--check"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, *settings], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_a_project_may_be_in_a_folder_with_a_percent_sign(
    environment: dict[str, str], tmp_path: Path
) -> None:
    project = tmp_path / "feature%2Ffoo %(here)s"
    for part in ("app", "migrations"):
        shutil.copytree(PROJECT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "alembic.ini", project)
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    done = subprocess.run(
        command, cwd=project, env=environment, check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr

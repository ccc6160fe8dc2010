"""The benchmarks' environment has every package that the benchmarks import."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment, environment_of

# They import the `app` of a rendered project.
NEED_A_PROJECT = (
    "benchmarks.baselines.dependencies",
    "benchmarks.goals.layers.compression",
    "benchmarks.goals.layers.middleware",
)
IMPORT_ALL = f"""
import os
from importlib import import_module
from pathlib import Path
for file in sorted(Path("benchmarks").rglob("*.py")):
    name = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
    # Some baselines open their database when they are imported.
    os.environ["DATABASE_URL"] = "sqlite:///:memory:" if file.stem == "sqlite" else "postgresql://127.0.0.1/x"
    if name not in {NEED_A_PROJECT}:
        import_module(name)
"""


@pytest.mark.thorough
def test_every_module_can_be_imported_in_the_benchmarks_environment(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_bytes((REPOSITORY / "requirements/benchmarks.txt").read_bytes())
    python = environment_of(tmp_path, files=("requirements.txt",)) / "bin/python"
    variables = clean_environment(PYTHONPATH="generator:kit", PYTHONDONTWRITEBYTECODE="1")

    command = [str(python), "-c", IMPORT_ALL]
    done = subprocess.run(command, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_no_module_imports_from_the_tests() -> None:
    found = [
        str(file)
        for folder in ("benchmarks", "kit", "testkit", "generator", "tools")
        for file in (REPOSITORY / folder).rglob("*.py")
        if any(line.startswith(("from tests", "import tests")) for line in file.read_text().splitlines())
    ]

    assert found == [], "Code that tests share with others is in testkit."

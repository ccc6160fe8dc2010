"""FastForge on the other supported Pythons, with warnings as errors: rendering and updates."""

from __future__ import annotations

import subprocess

import pytest
import uv

from tests.repository import REPOSITORY
from tests.variants.environments import clean_environment, environment_of
from tests.variants.interpreters import NEWEST, Interpreter, found_interpreters

REQUIREMENTS = ("fastforge.txt", "dev.txt")
RENDERING = (
    "tests/generator/template/test_questions.py",
    "tests/generator/template/test_render.py",
)
# Changes in Python are found on the newest.
MORE_ON_THE_NEWEST = ("tests/updates/test_update.py", "tests/updates/test_answers.py")

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("python", found_interpreters()[1:], ids=lambda python: python.version)
def test_fastforge_renders_and_updates_on_each_python(python: Interpreter) -> None:
    environment = environment_of(REPOSITORY / "requirements", python.path, REQUIREMENTS)
    target = ["--python", str(environment / "bin" / "python"), "--no-deps", "--no-build-isolation"]
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", *target, "--editable", str(REPOSITORY)]
    subprocess.run(install, check=True, env=clean_environment())
    tests = [*RENDERING, *(MORE_ON_THE_NEWEST if python.version == NEWEST else ())]
    command = [str(environment / "bin" / "python"), "-m", "pytest", "-q", "-x", *tests]

    done = subprocess.run(
        command, cwd=REPOSITORY, env=clean_environment(), check=False, capture_output=True, text=True
    )

    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-6000:]}{done.stderr[-2000:]}"

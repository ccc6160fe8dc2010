"""A copy of the project that tests may break, and its doctor as a separate process."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.settings import Settings

PROJECT = Path(__file__).parents[2]
COPIED = [
    "app",
    "deploy",
    "migrations",
    "alembic.ini",
    "pyproject.toml",
    "requirements.txt",
    "Makefile",
    ".env.example",
]
EXIT_FINDINGS = 3
SECONDS = 60
# Motor is deprecated, and tests have no issuer unless they are about it.
ALWAYS = {
    *(["packages.abandoned"] if find_spec("motor") else []),
    *(["issuer.unreachable"] if "oidc_issuer" in Settings.model_fields else []),
}


@dataclass
class Examined:
    """The output of the doctor."""

    exit_code: int
    text: str
    errors: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document."""
        document: dict[str, Any] = json.loads(self.text)
        return document

    @property
    def names(self) -> set[str]:
        """The names of all findings, except for those of every project."""
        return {each["check"] for each in self.document["findings"]} - ALWAYS

    def problem(self, check: str) -> str:
        """Return the problem of the only finding with this name."""
        (found,) = [each for each in self.document["findings"] if each["check"] == check]
        assert found["fix"], found
        return str(found["problem"])


@dataclass
class Patient:
    """A project that can be broken. `variables` is the environment of its doctor, in which all servers are right."""

    project: Path
    variables: dict[str, str]

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace the text, which must be in the file, once."""
        path = self.project / file
        text = path.read_text("utf-8")
        assert old in text, (file, old)
        path.write_text(text.replace(old, new, 1), "utf-8")

    def write_env(self, text: str) -> None:
        """Write the file .env, which is read instead of none."""
        (self.project / ".env").write_text(text)
        (self.project / ".env").chmod(0o600)
        self.variables["ENV_FILE"] = ".env"

    def examine(self, *flags: str, open_files: int | None = None) -> Examined:
        """Return the JSON document of the doctor."""
        return self.run("--json", "--offline", *flags, open_files=open_files)

    def run(self, *flags: str, open_files: int | None = None) -> Examined:
        """Run the doctor with these flags; it must succeed."""
        command = [sys.executable, "-m", "app.forge.doctor", *flags]
        ran = subprocess.run(
            command,
            cwd=self.project,
            env=self.variables,
            preexec_fn=None if open_files is None else limited(open_files),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert ran.returncode in (0, EXIT_FINDINGS), ran.stderr
        return Examined(ran.returncode, ran.stdout, ran.stderr)


def limited(open_files: int) -> Callable[[], None]:
    """Return what lowers the limit of open files in a new process."""
    return lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (open_files, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )


def new_patient(folder: Path, environment: Mapping[str, str]) -> Patient:
    """Return a healthy copy of this project."""
    project = folder / "project"
    project.mkdir()
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, project / name)
    return Patient(project, {**environment, "ENV_FILE": os.devnull, "PYTHONDONTWRITEBYTECODE": "1"})

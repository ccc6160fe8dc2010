"""Credentials for a project's service: a key of its own, or a token of an issuer that runs beside it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.repository import REPOSITORY

ISSUER = REPOSITORY / "tests/machinery/oidc/issuer.py"
# The audience of its tokens.
AUDIENCE = "https://shop.example"
SCOPES = ("items:read", "items:write")
SECONDS = 60


@contextmanager
def issuer_for(auth: str | None, project: Path) -> Iterator[dict[str, str]]:
    """Yield the variables that lead to an issuer on this machine; none if the project does not need one."""
    if auth != "oidc":
        yield {}
        return
    # With the project's Python, because only that has a library for keys.
    process = subprocess.Popen(
        [project / ".venv/bin/python", ISSUER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield {"OIDC_ISSUER": process.stdout.readline().strip(), "OIDC_AUDIENCE": AUDIENCE}
    finally:
        process.stdin.close()
        process.wait(SECONDS)
        process.stdout.close()


def token_for(auth: str | None, project: Path, environment: Mapping[str, str]) -> str:
    """Return credentials with all scopes of the items; nothing if the service asks for none."""
    if auth == "oidc":
        asked = httpx2.get(
            f"{environment['OIDC_ISSUER']}/token",
            params={"scope": " ".join(SCOPES)},
            trust_env=False,
        )
        return asked.raise_for_status().text
    if auth == "api_key":
        scopes = [argument for scope in SCOPES for argument in ("--scope", scope)]
        command = [project / ".venv/bin/python", "-m", "app.forge.auth", "create", "tests", *scopes]
        created = subprocess.run(
            command, cwd=project, env=dict(environment), capture_output=True, text=True, check=True, timeout=SECONDS
        )
        return created.stdout.strip()
    return ""

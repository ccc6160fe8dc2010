"""Credentials for a project's service: an API key, or a token of an issuer on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2
import yaml

from tests.acceptance.resources.grammar import resources_of
from tests.repository import REPOSITORY

ISSUER = REPOSITORY / "tests/machinery/oidc/issuer.py"
# The audience of its tokens.
AUDIENCE = "https://shop.example"
OF_ITEMS = ("items:read", "items:write")
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


def owned_in(project: Path) -> set[str]:
    """Return the plurals of the owned resources of a project."""
    answers = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
    return {each.plural for each in resources_of(answers["resources"]) if each.is_owned}


def scopes_of(service_url: str) -> tuple[str, ...]:
    """Return all scopes that the OpenAPI document of a service names."""
    document = (
        httpx2.get(f"{service_url}/openapi.json", trust_env=False, verify=False).raise_for_status().json()
    )
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    needed = [need for operation in operations for need in operation.get("security", ())]
    return tuple(sorted({scope for need in needed for scopes in need.values() for scope in scopes}))


def token_for(
    auth: str | None,
    project: Path,
    environment: Mapping[str, str],
    scopes: Sequence[str] = OF_ITEMS,
    subject: str = "alice",
) -> str:
    """Return credentials with these scopes; nothing if the service asks for none.

    Each key is another subject.
    """
    if auth == "oidc":
        url = f"{environment['OIDC_ISSUER']}/token"
        wanted = {"scope": " ".join(scopes), "sub": subject}
        return httpx2.get(url, params=wanted, trust_env=False).raise_for_status().text
    if auth == "api_key":
        arguments = [f"--scope={scope}" for scope in scopes]
        created = subprocess.run(
            [project / ".venv/bin/python", "-m", "app.forge.auth", "create", "tests", *arguments],
            cwd=project,
            env=dict(environment),
            capture_output=True,
            text=True,
            check=True,
            timeout=SECONDS,
        )
        return created.stdout.strip()
    return ""

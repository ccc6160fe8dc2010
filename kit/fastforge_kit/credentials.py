"""Credentials for a service that asks for them: an API key in its own database, or a token from the environment."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from fastforge_kit.errors import CannotMeasure
from fastforge_kit.project import ENVIRONMENT

# The name of a variable.
VARIABLE = "FASTFORGE_TOKEN"
AUTH = Path("app/forge/auth")
SECONDS = 60
CREATE = """\
import asyncio

from fastapi.routing import iter_route_contexts

from app.forge.auth.api_key_scopes import declared_scopes
from app.forge.auth.api_key_table import API_KEYS, ApiKeys
from app.forge.database import open_database
from app.main import create_app
from app.settings import Settings


async def create() -> None:
    settings = Settings()
    scopes = declared_scopes(iter_route_contexts(create_app(settings).routes))
    async with open_database(settings, [API_KEYS]) as database:
        print((await ApiKeys(database).create("bench", "fastforge bench", list(scopes), None)).text)


asyncio.run(create())
"""


def credentials_for(project: Path, environment: Mapping[str, str]) -> str:
    """Return the credentials that requests have to send; nothing if there are none. Raises `CannotMeasure`."""
    if (project / AUTH / "api_key.py").is_file():
        return _new_key(project, environment)
    if not (project / AUTH).is_dir():
        return ""
    token = ENVIRONMENT.get(VARIABLE, "")
    if not token:
        raise CannotMeasure(
            "The service asks for tokens of its issuer.",
            f"Set {VARIABLE} to one that has the scopes of all routes, and is valid during the measurement.",
        )
    return token


def _new_key(project: Path, environment: Mapping[str, str]) -> str:
    created = subprocess.run(
        [sys.executable, "-c", CREATE],
        cwd=project,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if created.returncode != 0:
        raise CannotMeasure(
            f"No API key can be created: {(created.stderr.strip().splitlines() or ['no reason'])[-1]}",
            "Try it: python -m app.forge.auth create bench",
        )
    return created.stdout.strip()

"""Settings from environment variables and .env, and warnings about misspelled names."""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict

ENV_FILE = os.environ.get("ENV_FILE", ".env")
# Docker Compose also reads .env, and the tests find their servers there.
OTHERS = re.compile(r"(test|compose|docker)_|env_file$")
COMPOSE_FILES = ("compose.yaml", "compose.yml", "compose.override.yaml", "docker-compose.yml")
# About as similar as DATABSE_URL and DATABASE_URL: most environment variables have nothing to do with a service.
ALIKE = 0.9
SHORTEST_ALIKE = 6


class Environment(BaseSettings):
    """Settings. Precedence: environment variables, .env, defaults.

    The environment variable ENV_FILE names a file to read instead of .env. An invalid setting raises
    `ValidationError`, which names the variable but not its value, because the value may be a secret.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", frozen=True, hide_input_in_errors=True
    )


def unknown_settings(settings: type[Environment]) -> Iterator[str]:
    """Yield a warning for each unknown name in .env, and for each misspelled one in the environment."""
    known = {name for each in _subclasses(Environment) for name in each.model_fields}
    in_file = DotEnvSettingsSource(settings).env_vars
    for name in sorted(in_file.keys() - known - _names_in_compose_files()):
        if not OTHERS.match(name):
            yield f"{name.upper()} in {ENV_FILE} is not a setting.{_meant(name, known)}"
    for name in sorted(EnvSettingsSource(settings).env_vars.keys() - known - in_file.keys()):
        meant = "" if OTHERS.match(name) or len(name) < SHORTEST_ALIKE else _meant(name, known)
        if meant:
            yield f"{name.upper()} in the environment is not a setting.{meant}"


def _meant(name: str, known: set[str]) -> str:
    alike = get_close_matches(name, known, n=1, cutoff=ALIKE)
    return f" Did you mean {alike[0].upper()}?" if alike else ""


def _names_in_compose_files() -> set[str]:
    texts = [path.read_text(encoding="utf-8") for path in map(Path, COMPOSE_FILES) if path.is_file()]
    return {name.lower() for text in texts for name in re.findall(r"\$\{?([A-Za-z_]\w*)", text)}


def _subclasses(settings: type[Environment]) -> Iterator[type[Environment]]:
    for each in settings.__subclasses__():
        yield each
        yield from _subclasses(each)

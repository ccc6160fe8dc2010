"""Settings from environment variables and .env, all of their faults at once, and warnings about misspelled names."""

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ENV_FILE = os.environ.get("ENV_FILE", ".env")
# Docker Compose also reads .env, and the tests find their servers there.
OTHERS = re.compile(r"(test|compose|docker)_|env_file$")
COMPOSE_FILES = ("compose.yaml", "compose.yml", "compose.override.yaml", "docker-compose.yml")
# About as similar as DATABSE_URL and DATABASE_URL: most environment variables have nothing to do with a service.
ALIKE = 0.9
SHORTEST_ALIKE = 6

FaultKind = Literal["missing", "invalid", "contradiction"]


class Fault(NamedTuple):
    """A setting that is missing, invalid or contradicts others. `form` describes valid values, and never has its value."""

    kind: FaultKind
    name: str
    form: str

    def __str__(self) -> str:
        return f"{self.name}: {self.form}"


class InvalidSettings(Exception):
    """The settings have faults. The message has a line for each."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))


class Contradiction(NamedTuple):
    """Settings that are valid alone, but not together."""

    names: tuple[str, ...]
    problem: str


class Environment(BaseSettings):
    """Settings. Precedence: environment variables, .env, defaults.

    The environment variable ENV_FILE names a file to read instead of .env. An invalid setting raises
    `ValidationError`, which names the variable but not its value, because the value may be a secret.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield settings that do not fit together. Subclasses add to these."""
        yield from ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (replaced)
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources. A list that is not JSON is an invalid setting, as any other; by default it ends the program."""
        file = getattr(dotenv_settings, "env_file", None)
        return (
            init_settings,
            _FromEnvironment(settings_cls),
            _FromFile(settings_cls, env_file=file),
            file_secret_settings,
        )


class _WithAnyText(PydanticBaseSettingsSource):
    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


class _FromEnvironment(_WithAnyText, EnvSettingsSource):
    pass


class _FromFile(_WithAnyText, DotEnvSettingsSource):
    pass


SettingsT = TypeVar("SettingsT", bound=Environment)


class Examination(NamedTuple, Generic[SettingsT]):
    """Faults, and the settings with defaults or examples instead of those in `replaced`; None if that is impossible."""

    settings: SettingsT | None
    faults: list[Fault]
    replaced: frozenset[str]


def read_settings(settings: type[SettingsT]) -> SettingsT:
    """Return the settings of the environment and .env. Raises `InvalidSettings` with all faults."""
    examination = examine_settings(settings)
    if examination.settings is None or examination.faults:
        raise InvalidSettings(examination.faults)
    return examination.settings


def examine_settings(settings: type[SettingsT]) -> Examination[SettingsT]:
    """Return all faults of the settings of the environment and .env."""
    try:
        found: SettingsT | None = settings()
        faults: list[Fault] = []
    except UnicodeDecodeError:
        return Examination(None, [Fault("invalid", ENV_FILE, "must be UTF-8")], frozenset())
    except ValidationError as error:
        faults = list(_faults(settings, error))
        found = _with_valid_values(
            settings, {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
        )
    replaced = frozenset(fault.name.lower() for fault in faults)
    if found is not None:
        faults += [
            Fault("contradiction", " and ".join(map(str.upper, each.names)), each.problem)
            for each in found.contradictions()
            if not replaced.intersection(each.names)
        ]
    return Examination(found, faults, replaced)


def _with_valid_values(settings: type[SettingsT], names: set[str]) -> SettingsT | None:
    try:
        return settings(**{name: _valid_value(settings.model_fields[name]) for name in names})
    except (ValidationError, LookupError):
        return None


def _valid_value(field: FieldInfo) -> Any:
    return (
        field.examples[0]
        if field.is_required() and field.examples
        else field.get_default(call_default_factory=True)
    )


def _faults(settings: type[Environment], error: ValidationError) -> Iterator[Fault]:
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        field = settings.model_fields.get(name)
        example = f", for example {field.examples[0]}" if field is not None and field.examples else ""
        is_missing = fault["type"] == "missing"
        form = "must be set" if is_missing else _form(fault["msg"])
        yield Fault("missing" if is_missing else "invalid", name.upper() or "Settings", f"{form}{example}")


def _form(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return re.sub(r"^(Input|String|Value|Tuple|List) should ", "must ", message)


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

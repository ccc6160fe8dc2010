"""Settings: documented in .env.example, and reported if they are misspelt."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.forge.environment import (
    Environment,
    InvalidSettings,
    examine_settings,
    read_settings,
    unknown_settings,
)
from app.settings import Settings, settings_of_environment

AXES: tuple[str, ...] = ("database", "cache", "compression", "deployment", "auth")

EXAMPLE = Path(__file__).parents[2] / ".env.example"
ASSIGNED = re.compile(r"^(# )?([A-Z_]+)=(.*)$", re.MULTILINE)
# Of an ordinary machine, a CI runner and a cluster: none of them is a setting of the service.
FOREIGN = [
    "CONDA_PREFIX",
    "DISPLAY",
    "GITHUB_TOKEN",
    "HOME",
    "HOSTNAME",
    "HOSTTYPE",
    "KUBERNETES_PORT",
    "KUBERNETES_SERVICE_HOST",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "LOG_FORMAT",
    "MAIL",
    "MYAPI_PORT_8000_TCP_PORT",
    "OLDPWD",
    "PATH",
    "POST",
    "PWD",
    "PYTHONPATH",
    "SHELL",
    "SHLVL",
    "TERM",
    "TEST_DATABASE_URL",
    "TMPDIR",
    "USER",
    "UVICORN_HOST",
    "UVICORN_PORT",
    "VIRTUAL_ENV",
    "WEB_CONCURRENCY",
    "XDG_RUNTIME_DIR",
]


def subclasses(settings: type[Environment]) -> set[str]:
    """Return the names of all settings that the service or its server reads."""
    return {name for each in settings.__subclasses__() for name in {*each.model_fields, *subclasses(each)}}


def assigned() -> list[tuple[str, str, str]]:
    """Return the `# `, the name and the value of each assignment in .env.example."""
    return ASSIGNED.findall(EXAMPLE.read_text(encoding="utf-8"))


def test_the_example_has_every_setting_once_and_nothing_else() -> None:
    import app.forge.server  # noqa: F401 (the server may have more settings)

    names = [name.lower() for _, name, _ in assigned()]
    assert len(names) == len(set(names))
    # Compose reads these, and .env.example builds URLs of them.
    passwords = {name for name in names if name.endswith("_password")}
    compose = EXAMPLE.with_name("compose.yaml").read_text(encoding="utf-8")
    assert passwords == {name.lower() for name in re.findall(r"\$\{(\w+_PASSWORD)", compose)}
    assert {*names} - passwords == subclasses(Environment)


def as_text(value: object) -> str:
    """Return the value as a variable of the environment has it."""
    if isinstance(value, tuple):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_a_setting_that_is_a_comment_in_the_example_shows_its_default() -> None:
    for name, field in Settings.model_fields.items():
        (shown,) = [line for line in assigned() if line[1].lower() == name]
        if shown[0]:
            default = "" if field.default_factory or field.default is None else field.default
            assert shown[2] == as_text(default), name


def test_every_setting_in_the_example_has_a_description() -> None:
    blocks = re.split(r"\n(?=# (?![A-Z_]+=))|\n\n", EXAMPLE.read_text(encoding="utf-8"))
    assert all(re.match(r"#? ?[^\n]* [^\n]*\w", block) for block in blocks if "=" in block)


# --- Faults -------------------------------------------------------------------------------------------------


# Valid for no setting but a path.
WRONG = "%s3cr3t\N{SNOWMAN}"
ANY_TEXT = {"nginx_path", "tls_certificate", "tls_certificate_key", "host", "docs_scope", "metrics_scope"}
ANY_TEXT |= {"oidc_audience", "oidc_scope_claim", "profile_secret"}


def test_all_wrong_settings_are_named_at_once_with_their_form_and_without_their_values(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    set_all(monkeypatch, settings)
    wrong = [name for name in Settings.model_fields if name not in ANY_TEXT]
    for name in wrong:
        monkeypatch.setenv(name.upper(), WRONG)
    with pytest.raises(InvalidSettings) as refusal:
        read_settings(Settings)
    lines = [line.partition(": ") for line in str(refusal.value).splitlines()]
    assert sorted(name for name, _, _ in lines) == sorted(name.upper() for name in wrong)
    assert all(form for _, _, form in lines)
    assert "s3cr3t" not in str(refusal.value)


@pytest.mark.parametrize("name", sorted(Settings.model_fields.keys() - ANY_TEXT))
def test_each_wrong_setting_is_named_with_its_form(
    name: str, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    set_all(monkeypatch, settings)
    monkeypatch.setenv(name.upper(), WRONG)
    (fault,) = examine_settings(Settings).faults
    assert (fault.kind, fault.name) == ("invalid", name.upper())
    assert "s3cr3t" not in fault.form
    assert re.search(r"must|cannot|not |three slashes|begin", fault.form), fault.form


def test_required_settings_that_are_missing_are_named_with_an_example() -> None:
    required = [name.upper() for name, field in Settings.model_fields.items() if field.is_required()]
    faults = examine_settings(Settings).faults
    assert [(fault.kind, fault.name) for fault in faults] == [("missing", name) for name in required]
    assert all("for example" in fault.form for fault in faults)


def test_a_list_of_the_owner_that_is_not_json_is_a_fault_as_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class OwnSettings(Environment):
        own_names: list[str]
        own_number: int = 0

    monkeypatch.setenv("OWN_NAMES", "a-secret,b")
    monkeypatch.setenv("OWN_NUMBER", "a-secret")
    assert [str(fault) for fault in examine_settings(OwnSettings).faults] == [
        "OWN_NAMES: must be a valid list",
        "OWN_NUMBER: must be a valid integer, unable to parse string as an integer",
    ]
    monkeypatch.setenv("OWN_NAMES", '["a", "b"]')
    monkeypatch.setenv("OWN_NUMBER", "1")
    assert read_settings(OwnSettings).own_names == ["a", "b"]


def set_all(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Set every variable to its value in the settings."""
    for name, value in settings.model_dump(exclude_none=True).items():
        secret = getattr(value, "get_secret_value", None)
        monkeypatch.setenv(name.upper(), as_text(secret() if secret else value))


# --- Unknown names ------------------------------------------------------------------------------------------


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that returns the warnings about an environment and an .env."""

    def of(variables: dict[str, str], file: str = "") -> list[str]:
        (tmp_path / ".env").write_text(file)
        monkeypatch.setitem(Settings.model_config, "env_file", tmp_path / ".env")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return list(unknown_settings(Settings))

    return of


@pytest.mark.parametrize(
    ("name", "meant"),
    [("DATABSE_URL", "DATABASE_URL"), ("DATABASE_URI", "DATABASE_URL"), ("LOGLEVEL", "LOG_LEVEL")],
)
def test_a_misspelt_setting_is_named_with_a_suggestion(warnings: Any, name: str, meant: str) -> None:
    expected = f"{name} in the environment is not a setting. Did you mean {meant}?"
    assert [said for said in warnings({name: "a-secret"}) if name in said] == [expected]
    (in_file,) = warnings({}, f"{name.lower()}=a-secret\n")
    assert re.fullmatch(rf"{name} in \S+ is not a setting\. Did you mean {meant}\?", in_file)


def test_every_unknown_name_in_the_file_is_named(warnings: Any) -> None:
    (said,) = warnings({}, "COLOR=red\nLOG_LEVEL=INFO\nTEST_DATABASE_URL=x\nCOMPOSE_PROJECT_NAME=x\n")
    assert re.fullmatch(r"COLOR in \S+ is not a setting\.", said)


def test_other_environment_variables_cause_no_warning(warnings: Any) -> None:
    servers = [name.upper().removesuffix("_URL") for name in Settings.model_fields if name.endswith("_url")]
    parts = [
        f"{server}_{part}" for server in servers for part in ("HOST", "NAME", "PASSWORD", "PORT", "USER")
    ]
    before = warnings({})
    assert warnings(dict.fromkeys([*FOREIGN, *parts], "x")) == before


def test_the_example_causes_no_warning(warnings: Any) -> None:
    assert warnings({}, EXAMPLE.read_text(encoding="utf-8").replace("\n# ", "\n")) == warnings({})


def test_a_warning_is_logged_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, settings: Settings
) -> None:
    set_all(monkeypatch, settings)
    monkeypatch.setenv("MAX_BODY_BYTE", "1")
    settings_of_environment()
    assert "MAX_BODY_BYTE in the environment is not a setting. Did you mean MAX_BODY_BYTES?" in caplog.text

"""`fastforge new` and `fastforge options`, as a program calls them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Installation, RunFastForge, git


def answers_of(project: Path) -> dict[str, Any]:
    recorded: dict[str, Any] = yaml.safe_load((project / ".copier-answers.yml").read_text())
    return {name: value for name, value in recorded.items() if not name.startswith("_")}


def test_new_generates_a_committed_project(fastforge: RunFastForge, work: Path) -> None:
    result = fastforge("new", "orders", "--defaults")

    assert result.exit_code == 0
    assert result.output == ""
    assert answers_of(work / "orders")["project_name"] == "orders"
    assert git(work / "orders", "status", "--porcelain") == ""
    assert git(work / "orders", "log", "--format=%an <%ae>") == "FastForge <fastforge@localhost>"


def test_new_ends_with_the_next_commands(fastforge: RunFastForge) -> None:
    result = fastforge("new", "orders", "--defaults")

    assert "Next:\n  cd orders\n  make test\n  make dev\n" in result.errors
    assert "fastforge new --defaults --project-name orders" in result.errors


def test_json_is_one_document_that_lists_the_files(fastforge: RunFastForge, work: Path) -> None:
    document = fastforge("new", "a", "--defaults", "--json").document

    on_disk = {path.relative_to(work / "a").as_posix() for path in (work / "a").rglob("*") if path.is_file()}
    assert set(document["files"]) == {path for path in on_disk if not path.startswith(".git/")}
    assert document["path"] == str(work / "a")
    assert document["answers"] == answers_of(work / "a")
    assert list(document["answers"])[:3] == ["project_name", "description", "database"]
    assert git(work / "a", "rev-parse", "--short", "HEAD") == document["commit"]


def test_the_printed_command_generates_the_same_project(fastforge: RunFastForge, work: Path) -> None:
    description = """It's "quoted" & <b>bold</b> \\ $HOME — für Zoë"""
    first = fastforge(
        "new",
        "a",
        "--no-git",
        "--json",
        "--description",
        description,
        "--database",
        "mongodb",
        "--mongodb-driver=motor",
    ).document
    (work / "a").rename(work / "first")

    again = fastforge(*shlex.split(first["command"])[1:])

    assert again.exit_code == 0
    assert tree(work / "a") == tree(work / "first")
    assert answers_of(work / "a")["description"] == description


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_path_that_starts_with_a_dash_is_reproduced(fastforge: RunFastForge, work: Path) -> None:
    first = fastforge("new", "--json", "--no-git", "--project-name", "Dash", "--", "-dash").document

    assert (work / "-dash").is_dir()
    assert first["command"].endswith(" -- -dash")


def test_a_dry_run_lists_the_files_and_writes_nothing(fastforge: RunFastForge, work: Path) -> None:
    dry = fastforge("new", "a", "--dry-run", "--json").document
    assert list(work.iterdir()) == []

    real = fastforge("new", "a", "--json").document
    assert dry["files"] == real["files"]
    assert (dry["dry_run"], real["dry_run"]) == (True, False)


FILES = {
    "a.yml": "database: postgres\ncache: none\n",
    "a.yaml": "database: postgres\ncache: none\n",
    "a.json": '{"database": "postgres", "cache": "none"}',
    "a.toml": 'database = "postgres"\ncache = "none"\n',
}


@pytest.mark.parametrize("name", FILES)
def test_an_answers_file_is_read(fastforge: RunFastForge, work: Path, name: str) -> None:
    (work / name).write_text(FILES[name])

    answers = fastforge("new", "a", "--dry-run", "--json", "--answers", name).document["answers"]

    assert (answers["database"], answers["cache"]) == ("postgres", "none")


@pytest.mark.parametrize("text", sorted(set(FILES.values())))
def test_answers_are_read_from_standard_input(fastforge: RunFastForge, text: str) -> None:
    answers = fastforge("new", "a", "--dry-run", "--json", "--answers", "-", stdin=text).document["answers"]

    assert (answers["database"], answers["cache"]) == ("postgres", "none")


def test_a_file_with_a_byte_order_mark_is_read(fastforge: RunFastForge, work: Path) -> None:
    (work / "a.yml").write_text("database: postgres\n", encoding="utf-8-sig")

    answers = fastforge("new", "a", "--dry-run", "--json", "--answers", "a.yml").document["answers"]

    assert answers["database"] == "postgres"


def test_the_precedence_is_flag_file_preset_default(fastforge: RunFastForge) -> None:
    arguments = ("--preset", "scale-out", "--answers", "-", "--deployment", "uvicorn")
    file = "cache: ttl\ndeployment: nginx\n"

    answers = fastforge("new", "a", "--dry-run", "--json", *arguments, stdin=file).document["answers"]

    assert answers["deployment"] == "uvicorn", "the flag"
    assert answers["cache"] == "ttl", "the file"
    assert answers["database"] == "postgres", "the preset"
    assert answers["description"] == "A FastAPI service.", "the default"


def test_a_flag_with_underscores_gets_a_suggestion(fastforge: RunFastForge) -> None:
    result = fastforge("new", "a", "--project_name", "A")

    assert result.exit_code == 2
    assert "Did you mean --project-name?" in result.errors


BAD_COMMAND_LINES = {
    "unknown flag": (["new", "a", "--databse", "sqlite"], "'--databse'", "--database?"),
    "unknown command": (["nwe"], "'nwe'", "'new'"),
    "missing command": ([], "COMMAND", "--help"),
    "flag without a value": (["new", "a", "--database"], "--database", "--help"),
    "two paths": (["new", "a", "b"], "b", "--help"),
    "no choice": (["new", "a", "--database", "mongo"], "'mongo'", "Did you mean mongodb?"),
    "no choice at all": (["new", "a", "--cache", "zzz"], "'zzz'", "Choose ttl, none or redis."),
    "empty choice": (["new", "a", "--cache", ""], "''", "Choose ttl, none or redis."),
    "unknown preset": (["new", "a", "--preset", "scaleout"], "'scaleout'", "Did you mean scale-out?"),
    "not asked": (["new", "a", "--mongodb-driver", "motor"], "'motor'", "database == 'mongodb'"),
    "no file": (["new", "a", "--answers", "no.yml"], "'no.yml'", "Give a file that exists."),
    "a folder for a file": (["new", "a", "--answers", "."], "'.'", "Give a file that exists."),
    "empty input": (["new", "a", "--answers", "-"], "'-'", "database: postgres"),
    "empty path": (["new", ""], "''", "fastforge new myapi"),
    "no parent": (["new", "no/such/a"], "no/such", "mkdir -p"),
    "long path": (["new", "a" * 300, "--project-name", "A"], "aaaa", "shorter"),
    "empty name": (["new", "a", "--project-name", ""], "empty", "Orders API"),
    "absolute name": (["new", "a", "--project-name", "/etc"], '"/etc"', "slash"),
    "dotted name": (["new", "a", "--project-name", "a..b"], '"a..b"', "single dots"),
    "slash in name": (["new", "a", "--project-name", "a/b"], '"a/b"', "slash"),
    "backslash in name": (["new", "a", "--project-name", "a\\b"], '"a\\\\b"', "slash"),
    "control character": (["new", "a", "--project-name", "a\x1b[2Jb"], "\\u001b", "Remove it"),
    "line break": (["new", "a", "--project-name", "a\nb"], "\\n", "Remove it"),
    "emoji only": (["new", "a", "--project-name", "🚀"], "🚀", "at least one"),
    "300 characters": (["new", "a", "--project-name", "x" * 300], "300 characters", "at most 50"),
    "keyword": (["new", "a", "--project-name", "class"], '"class"', '"class API"'),
    "standard library": (["new", "a", "--project-name", "asyncio"], '"asyncio"', '"asyncio API"'),
    "leading digit": (["new", "a", "--project-name", "3d"], '"3d"', "Start it with a letter"),
    "name from PATH": (["new", "class"], '"class"', "--project-name"),
    "long description": (["new", "a", "--description", "x" * 301], "301 characters", "at most 300"),
    "multi-line description": (["new", "a", "--description", "a\nb"], "\\n", "one line"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_COMMAND_LINES)
def test_a_bad_command_line_causes_one_line_of_error(fastforge: RunFastForge, work: Path, case: str) -> None:
    arguments, value, next_step = BAD_COMMAND_LINES[case]

    result = fastforge(*arguments, variables={"COLUMNS": "200"})

    assert result.exit_code == 2
    assert result.output == ""
    assert value in result.errors
    assert next_step in result.errors
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("case", sorted(set(BAD_COMMAND_LINES) - {"missing command", "flag without a value"}))
def test_a_bad_command_line_causes_an_error_in_json(fastforge: RunFastForge, case: str) -> None:
    arguments, value, next_step = BAD_COMMAND_LINES[case]

    result = fastforge(*arguments, "--json")

    assert result.exit_code == 2
    assert set(result.document) == {"error", "hint"}
    assert value in f"{result.document['error']} {result.document['hint']}"
    assert next_step in f"{result.document['error']} {result.document['hint']}"
    assert result.errors == ""


BAD_ANSWERS_FILES = {
    "unknown key": ("databse: sqlite", "'databse'", "Did you mean database?"),
    "computed key": ("project_slug: a", "'project_slug'", ""),
    "bookkeeping": ("_commit: abc", "'_commit'", ""),
    "number for a key": ("1: a", "1", ""),
    "boolean": ("database: true", "True", "Choose sqlite, postgres or mongodb."),
    "null": ("cache: null", "None", "Choose ttl, none or redis."),
    "list": ("cache: [ttl]", "['ttl']", "Choose ttl, none or redis."),
    "number for a text": ("description: 42", "42", "Put it in quotes."),
    "not asked": ("database: sqlite\nmongodb_driver: motor", "'motor'", "database == 'mongodb'"),
    "no mapping": ("- database", "'-'", "database: postgres"),
    "a mere word": ("database", "'-'", "database: postgres"),
    "no known format": ("{database: [", "'-'", "YAML, JSON or TOML"),
    "nested without end": ("[" * 100_000, "'-'", "YAML, JSON or TOML"),
    "binary": (b"\xff\xfe\x00", "'-'", "UTF-8"),
    "a code injection": ("!!python/object/apply:os.system ['true']", "'-'", "YAML, JSON or TOML"),
}


@pytest.mark.parametrize("case", BAD_ANSWERS_FILES)
def test_a_bad_answers_file_causes_one_line_of_error(fastforge: RunFastForge, work: Path, case: str) -> None:
    text, value, next_step = BAD_ANSWERS_FILES[case]

    result = fastforge("new", "a", "--answers", "-", stdin=text)

    assert result.exit_code == 2
    assert value in result.errors
    assert next_step in result.errors
    assert len(result.errors.splitlines()) == 1
    assert list(work.iterdir()) == []


def test_a_bomb_of_yaml_aliases_is_refused_at_once(fastforge: RunFastForge) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 30)]
    text = "\n".join(["l0: &l0 [x]", *levels, "database: *l29"])

    assert fastforge("new", "a", "--answers", "-", stdin=text).exit_code == 2


def test_an_unexpected_error_explains_how_to_get_its_traceback(
    installation: Installation, environment: dict[str, str]
) -> None:
    import subprocess

    code = "import fastforge.cli.app as c, fastforge.__main__ as m; c.run = lambda _: 1 // 0; m.main()"
    command = [sys.executable, "-c", code]
    plain = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    debug = subprocess.run(
        command, env=environment | {"FASTFORGE_DEBUG": "1"}, capture_output=True, text=True, check=False
    )

    assert plain.returncode == debug.returncode == 1
    assert len(plain.stderr.splitlines()) == 1
    assert "ZeroDivisionError" in plain.stderr
    assert "FASTFORGE_DEBUG=1" in plain.stderr
    assert "Traceback" in debug.stderr
    assert installation.command


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1", "C.UTF-8"])
def test_names_survive_every_locale(fastforge: RunFastForge, work: Path, locale: str) -> None:
    name = "Zażółć \"gęślą\" <jaźń> & 'więcej'"

    result = fastforge(
        "new", "a", "--project-name", name, "--json", variables={"LC_ALL": locale, "PYTHONUTF8": "0"}
    )

    assert result.exit_code == 0
    assert result.document["answers"]["project_name"] == name
    assert answers_of(work / "a")["project_name"] == name


def test_an_ascii_terminal_shows_names_as_escapes(fastforge: RunFastForge) -> None:
    result = fastforge("new", "a", "--project-name", "Größe", variables={"PYTHONIOENCODING": "ascii"})

    assert result.exit_code == 0
    assert "Gr\\xf6\\xdfe" in result.errors


def test_a_path_that_is_not_utf8_needs_a_name(fastforge: RunFastForge, work: Path) -> None:
    import os

    path = os.fsdecode(b"caf\xe9")

    assert fastforge("new", path).exit_code == 2
    assert (
        fastforge("new", path, "--project-name", "Cafe", "--json").document["answers"]["project_name"]
        == "Cafe"
    )
    assert (work / path).is_dir()


def test_a_closed_standard_input_uses_the_defaults(fastforge: RunFastForge) -> None:
    shell = ("sh", "-c", 'exec "$0" "$@" <&-')

    assert fastforge("new", "a", "--json", wrapper=shell).exit_code == 0
    result = fastforge("new", "b", "--answers", "-", wrapper=shell)
    assert result.exit_code == 2
    assert "standard input is closed" in result.errors


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_output_streams_do_not_stop_the_command(
    fastforge: RunFastForge, work: Path, redirection: str
) -> None:
    result = fastforge("new", "a", wrapper=("sh", "-c", f'exec "$0" "$@" {redirection}'))

    assert result.exit_code == 0
    assert (work / "a/.copier-answers.yml").is_file()


def test_a_reader_that_goes_away_causes_no_traceback(fastforge: RunFastForge) -> None:
    result = fastforge("options", wrapper=("sh", "-c", '{ "$0" "$@"; echo "exit $?" >&2; } | true'))

    assert "exit 1" in result.errors or "exit 0" in result.errors


def test_output_that_cannot_be_written_is_a_failure(fastforge: RunFastForge) -> None:
    result = fastforge("options", wrapper=("sh", "-c", 'exec "$0" "$@" >/dev/full'))

    assert result.exit_code == 1
    assert "No space left" in result.errors


def test_the_version_names_the_template(fastforge: RunFastForge) -> None:
    assert fastforge("--version").output == "fastforge 0.0.1 (template v0.0.1)\n"


def test_help_and_options_import_no_copier(installation: Installation, environment: dict[str, str]) -> None:
    import subprocess

    for arguments in (["--help"], ["new", "--help"], ["options"], ["options", "--json"], ["--version"]):
        command = [sys.executable, "-X", "importtime", *installation.command[1:], *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert "fastforge.cli.app" in done.stderr
        for library in ("copier", "questionary", "prompt_toolkit", "plumbum"):
            assert f" {library}\n" not in done.stderr


def test_help_names_every_question_choice_and_preset(fastforge: RunFastForge) -> None:
    shown = fastforge("new", "--help", variables={"COLUMNS": "200"}).output
    schema = fastforge("options", "--json").document

    for name, question in schema["properties"].items():
        if question["type"] == "array":
            continue
        assert f"--{name.replace('_', '-')}" in shown
        assert all(f"{choice} - " in shown for choice in question.get("enum", []))
    assert "scale-out" in shown
    assert "Sources of answers" in shown


def test_options_shows_choices_defaults_and_presets(fastforge: RunFastForge) -> None:
    shown = fastforge("options").output

    assert "database  (--database)" in shown
    assert "    postgres  PostgreSQL" in shown
    assert "Asked only when database == 'mongodb'." in shown
    assert "scale-out" in shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fastforge new --database ", {"sqlite", "postgres", "mongodb"}),
        ("fastforge new --cache r", {"redis"}),
        ("fastforge new --preset s", {"scale-out"}),
        ("fastforge o", {"options"}),
    ],
)
def test_the_shell_completes_choices(fastforge: RunFastForge, words: str, expected: set[str]) -> None:
    variables = {
        "_FASTFORGE_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }

    assert set(fastforge(variables=variables).output.split()) == expected


def test_json_on_standard_output_is_ascii(fastforge: RunFastForge) -> None:
    output = fastforge("new", "a", "--json", "--project-name", "Größe").output

    assert output.isascii()
    assert json.loads(output)["answers"]["project_name"] == "Größe"

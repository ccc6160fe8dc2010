"""Read answers from files in YAML, JSON or TOML, from standard input, and from presets."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fastforge.errors import UserError, did_you_mean
from fastforge.template.questions import alternatives

# Not the C parser: deeply nested brackets crash it, and Python with it.
_read_yaml = yaml.safe_load
_READERS: dict[str, tuple[Callable[[str], Any], ...]] = {
    ".json": (json.loads,),
    ".toml": (tomllib.loads,),
    ".yaml": (_read_yaml,),
    ".yml": (_read_yaml,),
}
# YAML comes last, because some TOML can be read as YAML, with nonsense for keys.
_ANY_READER = (json.loads, tomllib.loads, _read_yaml)


@dataclass(frozen=True)
class Preset:
    """A named set of answers, and its purpose."""

    name: str
    help: str
    answers: Mapping[str, str]


def load_presets() -> dict[str, Preset]:
    """Return all presets by name."""
    text = (Path(__file__).parent / "presets.toml").read_text(encoding="utf-8")
    return {name: Preset(name, row["help"], row["answers"]) for name, row in tomllib.loads(text).items()}


def preset_answers(name: str) -> Mapping[str, str]:
    """Return the preset's answers.

    Raises:
        UserError: No preset has that name.
    """
    presets = load_presets()
    if name not in presets:
        hint = f"{did_you_mean(name, presets)} Choose {alternatives(presets)}.".lstrip()
        raise UserError(f"--preset: {name!r} is not a preset.", hint)
    return presets[name].answers


def read_answers(file: str) -> dict[str, Any]:
    """Return the mapping in the file; `-` is standard input.

    Raises:
        UserError: It cannot be read, is empty, or is not a mapping in YAML, JSON or TOML.
    """
    answers = read_data(file, "--answers", example="database: postgres")
    if not isinstance(answers, dict):
        raise UserError(
            f"--answers: {file!r} is not a mapping of questions to answers.",
            "Write one answer per line, such as: database: postgres",
        )
    return answers


def read_data(file: str, option: str, *, example: str) -> Any:  # noqa: ANN401 (a file may hold anything)
    """Return the content of the file; `-` is standard input. Messages name the option and the example.

    Raises:
        UserError: It cannot be read, is empty, or is not YAML, JSON or TOML.
    """
    text = _read_text(file, option)
    if not text.strip():
        raise UserError(f"{option}: {file!r} is empty.", f"Write into it, such as: {example}")
    return _parse(text, file, option)


def _read_text(file: str, option: str) -> str:
    try:
        if file != "-":
            return Path(file).read_text(encoding="utf-8-sig")
        if sys.stdin is None:
            raise UserError(f"{option}: standard input is closed.", "Pipe the text in, or give a file.")
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"{option}: {file!r} cannot be read: {error.strerror}.", "Give a file that exists."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{option}: {file!r} is not UTF-8 text.", "Save it as UTF-8.") from error


def _parse(text: str, file: str, option: str) -> Any:  # noqa: ANN401 (a file may hold anything)
    problem = ""
    for read in _READERS.get(Path(file).suffix.lower(), _ANY_READER):
        try:
            return read(text)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            problem = " ".join(str(error).split())[:200]
    raise UserError(f"{option}: {file!r} is not YAML, JSON or TOML: {problem}.", "Correct it and try again.")

"""Read the questions of `copier.yml`, and check answers, without Copier."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fastforge.errors import UserError, did_you_mean
from fastforge.template.resources import EXAMPLE, read_resources
from fastforge.template.source import template_directory

# The C parser needs a tenth of the time, but PyYAML may be built without it.
SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# The answer to each question: text, or a list for `resources` and `revisions`.
Answers = Mapping[str, Any]
# Hints for invalid answers that are lists.
HINTS = {
    "resources": "The types and their options: fastforge options",
    "revisions": "FastForge writes them: fastforge add, fastforge remove.",
}


@dataclass(frozen=True)
class Question:
    """A question. `choices` maps each value to its label, and is empty if any text is valid.

    `default` is None if it is computed. The question is asked if the Jinja expression `condition` is true, or
    always if that is None. `longest` is the limit of a text in characters. If `is_list`, the answer is a list
    of mappings, and it has no flag.
    """

    name: str
    help: str
    choices: Mapping[str, str]
    default: str | None
    condition: str | None
    longest: int | None
    may_be_empty: bool
    is_list: bool = False

    @property
    def flag(self) -> str:
        """The option of `fastforge new` that answers this question."""
        return "--" + self.name.replace("_", "-")

    def check(self, value: object, origin: str) -> Any:  # noqa: ANN401 (text or a list)
        """Return the answer.

        Raises:
            UserError: It is neither a text, a choice nor a list, whichever the question needs.
        """
        if self.is_list:
            return self._check_list(value, origin)
        if isinstance(value, str) and (not self.choices or value in self.choices):
            return value
        shown = reprlib.repr(value) if not isinstance(value, str) else repr(value[:100])
        if not self.choices:
            raise UserError(f"{origin}: {self.name} is {shown}, which is not text.", "Put it in quotes.")
        meant = did_you_mean(value, self.choices) if isinstance(value, str) else ""
        hint = f"{meant} Choose {alternatives(self.choices)}.".lstrip()
        raise UserError(f"{origin}: {shown} is not a choice for {self.name}.", hint)

    def _check_list(self, value: object, origin: str) -> list[Any]:
        if isinstance(value, str):
            value = _read_yaml(value)
        if not isinstance(value, list):
            raise UserError(
                f"{origin}: {self.name} is {reprlib.repr(value)}, which is not a list.",
                "Write one resource per line, such as: - " + EXAMPLE
                if self.name == "resources"
                else HINTS[self.name],
            )
        return read_resources(value) if self.name == "resources" else value


def load_questions(template: Path | None = None) -> tuple[Question, ...]:
    """Return the questions in their order, without computed ones (`when: false`).

    `template` is the directory of another version of the template; None is the one that FastForge carries.
    """
    return tuple(
        _question(name, details)
        for name, details in read_config(template or template_directory()).items()
        if not name.startswith("_") and details.get("when") is not False
    )


def read_config(template: Path) -> Mapping[str, Any]:
    """Return the content of the template's `copier.yml`."""
    config: dict[str, Any] = yaml.load((template / "copier.yml").read_bytes(), Loader=SafeLoader)  # noqa: S506 (it is safe)
    return config


def check_answers(
    questions: Sequence[Question], answers: Mapping[str, object], origin: str
) -> dict[str, Any]:
    """Return the answers, checked as far as possible without rendering.

    Raises:
        UserError: A question is unknown, or an answer is invalid.
    """
    by_name = {question.name: question for question in questions}
    for name in answers:
        if name not in by_name:
            hint = did_you_mean(str(name), by_name) or f"The questions are {alternatives(by_name, 'and')}."
            raise UserError(f"{origin}: {reprlib.repr(name)} is not a question.", hint)
    return {name: by_name[name].check(value, origin) for name, value in answers.items()}


def alternatives(names: Mapping[str, Any], last_word: str = "or") -> str:
    """Return the names as an English list: `a, b or c`."""
    *first, last = names
    return f"{', '.join(first)} {last_word} {last}" if first else last


def _read_yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _question(name: str, details: Mapping[str, Any]) -> Question:
    if name in HINTS:
        return Question(name, details["help"].strip(), {}, None, None, None, may_be_empty=True, is_list=True)
    if details.get("type") != "str" or details.get("multiselect"):
        raise TypeError(f"The question {name} is neither text nor a choice.")
    choices = details.get("choices", {})
    if isinstance(choices, list):
        choices = {value: value for value in choices}
    default = details["default"]
    when = details.get("when", True)
    validator = details.get("validator", "")
    limit = re.search(rf"\b{name} \| length > (\d+)", validator)
    return Question(
        name=name,
        help=details["help"].strip(),
        choices={value: label for label, value in choices.items()},
        default=None if "{{" in default else default,
        condition=None if when is True else when.strip().removeprefix("{{").removesuffix("}}").strip(),
        longest=int(limit[1]) if limit else None,
        may_be_empty=not re.search(rf"if not {name}\b", validator),
    )

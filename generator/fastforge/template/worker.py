"""Copier's worker, adapted. Only `render` imports this module."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache, cached_property
from math import prod
from pathlib import Path
from typing import Any

from copier._jinja_ext import get_yield_context
from copier._main import Worker
from copier._settings import SettingsModel
from copier.errors import InteractiveSessionError

from fastforge.errors import UserError
from fastforge.template.prompts import ask_for_resources, prompts_on_standard_error
from fastforge.template.questions import HINTS, Answers
from fastforge.template.request import RenderRequest
from fastforge.template.source import template_directory

_YIELDED = re.compile(r"{%-? *yield \w+ from (\w+)")
_VALIDATION_ERROR = re.compile(r"Validation error for question '(?P<name>\w+)': (?P<message>.*)", re.DOTALL)


def make_worker(request: RenderRequest, project: Path, on_file: Callable[[int], None]) -> Worker:
    """Return a worker for `run_copy`. It calls `on_file` for each file, with their number."""
    worker = PackagedTemplateWorker(
        src_path=str(request.template or template_directory()),
        dst_path=project,
        data=dict(request.answers),
        # The user's settings for Copier may have other defaults than those that `fastforge options` lists.
        settings=SettingsModel(),
        # pip compiles the packaged template.
        exclude=["__pycache__"],
        defaults=not request.ask,
        overwrite=True,
        quiet=True,
        cleanup_on_error=False,
    )
    worker.request, worker.on_file = request, on_file
    return worker


class PackagedTemplateWorker(Worker):
    """A worker that records the repository and commit from which the template was packaged."""

    request: RenderRequest
    on_file: Callable[[int], None]

    def _ask(self) -> None:
        try:
            with prompts_on_standard_error() if self.request.ask else nullcontext():
                self._ask_what_counts()
        except (InteractiveSessionError, EOFError) as error:
            raise UserError("The questions were not answered.", "Answer them, or add --defaults.") from error
        except (ValueError, TypeError) as error:
            raise _answer_refused(str(error)) from error
        _refuse_unasked(self.request.given, self.answers.hidden, self.template.questions_data)

    def _ask_what_counts(self) -> None:
        """Ask the questions. Repeat that without answers whose questions are not asked, such as a driver's.

        Also repeat it with the resources that a person types, because Copier has no prompt for them.
        """
        super()._ask()
        request = self.request
        if request.ask and "resources" not in request.answers:
            if resources := ask_for_resources():
                asked = {name: value for name, value in self._answers_to_remember().items() if name[0] != "_"}
                self.data.update({name: value for name, value in asked.items() if name not in HINTS})
                self.data["resources"] = resources
                super()._ask()
            return
        unasked = self.answers.hidden & request.answers.keys() - request.given.keys()
        if unasked and not request.ask:
            for name in unasked:
                del self.data[name]
            super()._ask()

    def _answers_to_remember(self) -> Mapping[str, Any]:
        answers = super()._answers_to_remember()
        recorded = {name: value for name, value in answers.items() if name != "_src_path"}
        source = self.request.source
        return recorded | ({"_commit": source.commit, "_src_path": source.url} if source else {})

    def _render_file(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 (passed on unchanged)
        super()._render_file(*arguments, **named)
        self.on_file(self._number_of_files)

    @cached_property
    def _number_of_files(self) -> int:
        """The number of files that Copier will look at. A path that yields counts once for each entry."""
        root, answers = self.template_copy_root, self.answers.combined
        files = (path for path in root.rglob("*") if path.is_file())
        return sum(_number_of_entries(str(path.relative_to(root)), answers) for path in files)

    @cached_property
    def jinja_env(self) -> Any:  # noqa: ANN401 (Copier's own environment class)
        """Copier's environment, which compiles each text once: Copier passes the same ones many times."""
        environment: Any = super().jinja_env
        environment.from_string = _compile_once(environment)
        return environment


def _number_of_entries(path: str, answers: Answers) -> int:
    lists = (answers.get(name) for name in _YIELDED.findall(path))
    return prod(len(each) for each in lists if isinstance(each, list))


def _answer_refused(message: str) -> UserError:
    found = _VALIDATION_ERROR.fullmatch(message)
    if not found:
        return UserError(message, "See: fastforge options")
    name = found["name"]
    hint = HINTS.get(name) or f"Give it with --{name.replace('_', '-')}."
    return UserError(" ".join(found["message"].split()), hint)


def _refuse_unasked(given: Answers, hidden: set[str], questions: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name in hidden:
            condition = str(questions[name]["when"]).strip("{} ")
            raise UserError(
                f"{name} is {value!r}, but that question is only asked when {condition}.",
                f"Leave {name} out, or change the answer that it depends on.",
            )


def _compile_once(environment: Any) -> Callable[[Any], Any]:  # noqa: ANN401 (Copier's own environment class)
    from_string = environment.from_string
    cached = cache(from_string)
    yielded = get_yield_context(environment)

    def compiled(text: Any) -> Any:  # noqa: ANN401 (the value of a question may have any type)
        # Compiling also resets this; an earlier part of the path may have yielded.
        yielded.yield_name = yielded.yield_iterable = None
        if isinstance(text, str) and "{" not in text and "\r" not in text:
            return _PlainText(text)
        return cached(text) if isinstance(text, str) else from_string(text)

    return compiled


class _PlainText:
    """A template without Jinja."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, *_context: object, **_variables: object) -> str:
        return self._text

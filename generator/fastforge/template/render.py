"""Render the template with Copier. Only this module imports Copier, and only when something is rendered."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, cached_property
from math import prod
from pathlib import Path
from signal import SIGINT
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fastforge.errors import Interrupted, UserError, WorkFailed
from fastforge.template.prompts import ask_for_resources, prompts_on_standard_error
from fastforge.template.questions import HINTS, Answers
from fastforge.template.source import Source, template_directory

if TYPE_CHECKING:
    from copier._main import Worker

_YIELDED = re.compile(r"{%-? *yield \w+ from (\w+)")
_VALIDATION_ERROR = re.compile(r"Validation error for question '(?P<name>\w+)': (?P<message>.*)", re.DOTALL)


@dataclass(frozen=True)
class RenderRequest:
    """What to render. An answer that is also in `given` is an error if its question is not asked.

    `template` is the directory of another version of the template; None is the one that FastForge carries.
    """

    answers: Answers
    given: Answers = field(default_factory=dict)
    source: Source | None = None
    template: Path | None = None
    ask: bool = False


def render(
    request: RenderRequest, project: Path, on_file: Callable[[int], None] = lambda _total: None
) -> dict[str, Any]:
    """Render the template into the new directory `project`, and return all answers.

    The directory's name is the default project name. `on_file` is called for each file, with their number.

    Raises:
        UserError: An answer is invalid, or its question is not asked.
        WorkFailed: The template cannot be rendered.
        Interrupted: The user left the questions with Ctrl-C.
    """
    worker = _worker(request, project, on_file)
    from copier.errors import CopierError
    from jinja2 import TemplateError

    try:
        with _no_git_per_file(), worker:
            worker.run_copy()
    except KeyboardInterrupt as error:
        raise Interrupted(SIGINT) from error
    except (CopierError, TemplateError) as error:
        raise WorkFailed(f"The template cannot be rendered: {error}.", "Reinstall FastForge.") from error
    answers = worker._answers_to_remember()
    return {
        name: answers[name] if isinstance(answers[name], list) else str(answers[name])
        for name in worker.template.questions_data
        if name in answers
    }


def _count_files(template: Path, answers: Answers) -> int:
    """Return the number of files that Copier will look at. A path that yields counts once for each entry."""
    files = (path.relative_to(template) for path in template.rglob("*") if path.is_file())
    return sum(_count(str(path), answers) for path in files)


def _count(path: str, answers: Answers) -> int:
    lists = (answers.get(name) for name in _YIELDED.findall(path))
    return prod(len(each) for each in lists if isinstance(each, list))


def _worker(request: RenderRequest, project: Path, on_file: Callable[[int], None]) -> Worker:
    with nullcontext() if request.ask else _prompt_libraries_left_out():
        from copier._main import Worker
        from copier._settings import SettingsModel
        from copier.errors import InteractiveSessionError

    class PackagedTemplateWorker(Worker):
        """A worker that records the repository and commit from which the template was packaged."""

        def _ask(self) -> None:
            try:
                with prompts_on_standard_error() if request.ask else nullcontext():
                    _ask_what_counts(request, self, super()._ask)
            except (InteractiveSessionError, EOFError) as error:
                raise UserError(
                    "The questions were not answered.", "Answer them, or add --defaults."
                ) from error
            except (ValueError, TypeError) as error:
                raise _answer_refused(str(error)) from error
            _refuse_unasked(request.given, self.answers.hidden, self.template.questions_data)

        def _answers_to_remember(self) -> Mapping[str, Any]:
            return _recorded(super()._answers_to_remember(), request.source)

        def _render_file(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 (passed on as they are)
            super()._render_file(*arguments, **named)
            on_file(self._files)

        @cached_property
        def _files(self) -> int:
            return _count_files(self.template_copy_root, self.answers.combined)

        @cached_property
        def jinja_env(self) -> Any:  # noqa: ANN401 (Copier's own environment class)
            environment: Any = super().jinja_env
            environment.from_string = _compile_once(environment)
            return environment

    return PackagedTemplateWorker(
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


def _recorded(answers: Mapping[str, Any], source: Source | None) -> dict[str, Any]:
    recorded = {name: value for name, value in answers.items() if name != "_src_path"}
    return recorded | ({"_commit": source.commit, "_src_path": source.url} if source else {})


def _ask_what_counts(request: RenderRequest, worker: Worker, ask: Callable[[], None]) -> None:
    """Ask the questions. Repeat that without answers whose questions are not asked, such as a driver's.

    Also repeat it with the resources that a person types, because Copier has no prompt for them.
    """
    ask()
    if request.ask and "resources" not in request.answers:
        if resources := ask_for_resources():
            asked = {name: value for name, value in worker._answers_to_remember().items() if name[0] != "_"}
            worker.data.update({name: value for name, value in asked.items() if name not in HINTS})
            worker.data["resources"] = resources
            ask()
        return
    unasked = worker.answers.hidden & request.answers.keys() - request.given.keys()
    if unasked and not request.ask:
        for name in unasked:
            del worker.data[name]
        ask()


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
    """Return a `from_string` that compiles each text once, because Copier passes the same ones again."""
    from copier._jinja_ext import get_yield_context

    from_string = environment.from_string
    cached = cache(from_string)
    yielded = get_yield_context(environment)

    def compiled(text: Any) -> Any:  # noqa: ANN401 (Copier tries whatever a question holds)
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


def _no_git_per_file() -> Any:  # noqa: ANN401 (Plumbum has no types)
    """Hide git from Copier, which would run it once per file to read modes that no repository has yet."""
    from plumbum import local

    return local.env(PATH="")


class _Choice:
    """The part of `questionary.Choice` that Copier uses to check an answer."""

    def __init__(self, title: str, value: object, disabled: str = "") -> None:
        self.title = title
        self.value = value
        self.disabled = disabled


def _never_asked(*_arguments: object) -> None:
    raise AssertionError("Copier asked a question although every question has an answer.")


_PROMPT_LIBRARIES: dict[str, dict[str, object]] = {
    "questionary": {"confirm": _never_asked, "unsafe_prompt": _never_asked},
    "questionary.prompts": {},
    "questionary.prompts.common": {"Choice": _Choice},
    "prompt_toolkit": {},
    "prompt_toolkit.lexers": {"PygmentsLexer": None},
    "pygments": {},
    "pygments.lexers": {},
    "pygments.lexers.data": {"JsonLexer": None, "YamlLexer": None},
}


@contextmanager
def _prompt_libraries_left_out() -> Iterator[None]:
    """Import Copier without the libraries that only prompts need, which take a third of the CPU time."""
    missing = {name: names for name, names in _PROMPT_LIBRARIES.items() if name not in sys.modules}
    for name, names in missing.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(names)
    try:
        yield
    finally:
        for name in missing:
            del sys.modules[name]

"""Render the template with Copier, which is imported only when something is rendered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from signal import SIGINT
from types import ModuleType
from typing import Any

from fastforge.errors import Interrupted, WorkFailed
from fastforge.template.request import RenderRequest


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
    with nullcontext() if request.ask else _without_prompt_libraries():
        from fastforge.template.worker import make_worker
    from copier.errors import CopierError
    from jinja2 import TemplateError
    from plumbum import local

    worker = make_worker(request, project, on_file)
    try:
        # Without git on PATH: Copier would run it once per file to read modes that no repository has yet.
        with local.env(PATH=""), worker:
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
def _without_prompt_libraries() -> Iterator[None]:
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

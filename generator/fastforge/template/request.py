"""A request to render the template."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fastforge.template.questions import Answers
from fastforge.template.source import Source


@dataclass(frozen=True)
class RenderRequest:
    """A rendering to make. An answer that is also in `given` is an error if its question is not asked.

    `template` is the directory of another version of the template; None is the one that FastForge carries.
    """

    answers: Answers
    given: Answers = field(default_factory=dict)
    source: Source | None = None
    template: Path | None = None
    ask: bool = False

"""The measured savings in the questions of `copier.yml`: copied from the measurements, never typed."""

import re
from collections.abc import Iterable

from fastforge_kit.optimizations import Optimization
from fastforge_kit.verdicts import MET

from benchmarks.load.rendering import REPOSITORY

QUESTIONS = REPOSITORY / "copier.yml"
MARK = "; measured: "
CHOICE = re.compile(rf'^    "(?P<label>[^"]*?)(?:{MARK}[^"]*)?": (?P<value>\w+)$', re.MULTILINE)

# The optimization that shows an answer's effect, and a text. An inconclusive measurement gives no text.
WORDS = {
    "sqlite": ("sqlite-group-commit", "that saves {saving} of a write's CPU"),
    "postgres": ("postgres-json-page", "that saves {saving} of a page's CPU"),
    "ttl": ("ttl-cache", "saves {saving} of a read's CPU on PostgreSQL"),
    "redis": ("redis-cache", "saves {saving} of a read's CPU on PostgreSQL"),
    "orjson": ("trusted-rows", "saves {saving} of a page's CPU"),
    "pydantic": ("trusted-rows", "a page takes {ratio} times the CPU"),
    "negotiated": ("zstd-first", "zstd saves {saving} of a page's CPU"),
    "gzip": ("gzip-level", "level 4 saves {saving} of level 9's CPU for a page"),
    "gunicorn": ("gunicorn-uvicorn-worker", "{saving} less CPU than Gunicorn's own ASGI worker"),
}


def words_of(value: str, optimizations: Iterable[Optimization]) -> str:
    """Return the text with the measured figure for an answer, or nothing if its goal is not met."""
    name, words = WORDS.get(value, ("", ""))
    measured = next((each.measurement for each in optimizations if each.id == name), None)
    if measured is None or measured.verdict != MET:
        return ""
    saving = f"{100 * (1 - 1 / measured.ratio):.0f}%"
    return MARK + words.format(saving=saving, ratio=f"{measured.ratio:.1f}")


def with_prompts(text: str, optimizations: Iterable[Optimization]) -> str:
    """Return the text of `copier.yml` with the measured figures."""
    known = list(optimizations)
    return CHOICE.sub(
        lambda found: f'    "{found["label"]}{words_of(found["value"], known)}": {found["value"]}', text
    )


def write_prompts(optimizations: Iterable[Optimization]) -> None:
    """Write the measured figures into `copier.yml`."""
    QUESTIONS.write_text(with_prompts(QUESTIONS.read_text(encoding="utf-8"), optimizations), encoding="utf-8")

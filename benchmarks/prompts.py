"""What the questions in `copier.yml` say of measured costs and gains: taken from the records, never typed."""

import re
from collections.abc import Iterable

from fastforge.tunings import Tuning

from benchmarks.rendering import REPOSITORY

QUESTIONS = REPOSITORY / "copier.yml"
MARK = "; measured: "
CHOICE = re.compile(rf'^    "(?P<label>[^"]*?)(?:{MARK}[^"]*)?": (?P<value>\w+)$', re.MULTILINE)

# For an answer, the record that proves it, and the words; a record that proves nothing says nothing.
WORDS = {
    "sqlite": ("sqlite-group-commit", "that saves {saving} of a write's CPU"),
    "postgres": ("postgres-json-page", "that saves {saving} of a page's CPU"),
    "ttl": ("ttl-cache", "saves {saving} of a read's CPU on PostgreSQL"),
    "redis": ("redis-cache", "saves {saving} of a read's CPU on PostgreSQL"),
    "orjson": ("trusted-rows", "saves {saving} of a page's CPU"),
    "pydantic": ("trusted-rows", "a page takes {ratio} times the CPU"),
    "negotiated": ("zstd-first", "zstd saves {saving} of a page's CPU"),
    "gzip": ("gzip-level", "level 4 saves {saving} of level 9's CPU for a page"),
    "gunicorn": ("gunicorn-uvicorn-worker", "they save {saving} of its own workers' CPU"),
}


def words_of(value: str, tunings: Iterable[Tuning]) -> str:
    """Return the measured words for an answer, or nothing where nothing is proven."""
    name, words = WORDS.get(value, ("", ""))
    measured = next((each.measured for each in tunings if each.id == name), None)
    if measured is None or measured.verdict != "pays":
        return ""
    saving = f"{100 * (1 - 1 / measured.ratio):.0f}%"
    return MARK + words.format(saving=saving, ratio=f"{measured.ratio:.1f}")


def with_prompts(text: str, tunings: Iterable[Tuning]) -> str:
    """Return the text of `copier.yml` with the figures of the records."""
    known = list(tunings)
    return CHOICE.sub(
        lambda found: f'    "{found["label"]}{words_of(found["value"], known)}": {found["value"]}', text
    )


def write_prompts(tunings: Iterable[Tuning]) -> None:
    """Write the figures of the records into `copier.yml`."""
    QUESTIONS.write_text(with_prompts(QUESTIONS.read_text(encoding="utf-8"), tunings), encoding="utf-8")

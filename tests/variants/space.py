"""The space of variants, read from copier.yml: every combination of answers, and a small covering set.

In these combinations, the questions in `PAIRED` have their default answers. Further variants have the other
answers, so that every pair of answers occurs: all combinations would be too many to test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any

import yaml
from fastforge.template.questions import Question, load_questions
from jinja2 import FileSystemLoader
from jinja2.sandbox import SandboxedEnvironment

from tests.repository import REPOSITORY

Answer = tuple[str, str]
# Its answers bring files that nothing else in a project depends on (tests/generator/template/test_render.py).
NOT_VARIED = {"updates"}
PAIRED = {"auth", "ci"}


@dataclass(frozen=True)
class Variant:
    """One combination of answers to the questions that offer choices."""

    answers: tuple[Answer, ...]

    @property
    def name(self) -> str:
        """The answers in the order of the questions: `sqlite-ttl-orjson-negotiated-uvicorn`.

        Answers to paired questions follow if they are not the default: `…-uvicorn-auth_oidc`.
        """
        answers = [(question, value) for question, value in self.answers if question not in PAIRED]
        paired = [f"{question}_{value}" for question, value in self.answers if _is_special(question, value)]
        return "-".join([value for _, value in answers] + paired)

    def __getitem__(self, question: str) -> str | None:
        """Return the answer, or None if the question is not asked."""
        return dict(self.answers).get(question)

    @property
    def pairs(self) -> set[tuple[Answer, Answer]]:
        """Every pair of answers of this variant."""
        return set(combinations(self.answers, 2))


@cache
def varied_questions() -> frozenset[str]:
    """Return the names of the questions whose answers define variants."""
    with_choices = {question.name for question in load_questions() if question.choices}
    return frozenset(with_choices - NOT_VARIED)


@cache
def every_variant() -> tuple[Variant, ...]:
    """Return every combination of answers, the paired questions by default, and those of the covering set."""
    combined = tuple(Variant(answers) for answers in _combinations(with_paired=False))
    return tuple(dict.fromkeys([*combined, *covering_variants()]))


def default_variant() -> Variant:
    """Return the variant that has the default answer everywhere."""
    defaults = {question.name: question.default for question in load_questions()}
    return next(
        variant
        for variant in map(Variant, _combinations(with_paired=False))
        if all(defaults[key] == value for key, value in variant.answers)
    )


@cache
def covering_variants() -> tuple[Variant, ...]:
    """Return few variants, the default one first, that contain every pair of answers that can occur.

    Greedy: next is the first variant with the most new pairs.
    """
    first = default_variant()
    return first, *_greedy(_combinations(with_paired=True), [first])


@cache
def covering_variants_unpaired() -> tuple[Variant, ...]:
    """Return a covering set of the variants that have the default answers to the paired questions."""
    first = default_variant()
    return first, *_greedy(_combinations(with_paired=False), [first])


def quick_variants() -> tuple[Variant, ...]:
    """Return the two variants of a quick run: the default one, and one with a server of each kind."""
    with_servers = {"database": "postgres", "cache": "redis", "deployment": "nginx"}
    wanted = dict(default_variant().answers) | with_servers
    return default_variant(), next(each for each in every_variant() if dict(each.answers) == wanted)


def variants_named(wish: str) -> tuple[Variant, ...]:
    """Return the variants for quick, covering, all, or names and commas; raise `ValueError` for others."""
    sets: dict[str, Callable[[], tuple[Variant, ...]]]
    sets = {"quick": quick_variants, "covering": covering_variants, "all": every_variant}
    if wish in sets:
        return sets[wish]()
    # Any combination has a name, not only those of the sets.
    by_name = {variant.name: variant for variant in map(Variant, _combinations(with_paired=True))}
    unknown = [name for name in wish.split(",") if name not in by_name]
    if unknown:
        names = "names such as " + next(iter(by_name))
        raise ValueError(f"{unknown[0]!r} is not a variant. Use quick, covering, all, or {names}.")
    return tuple(by_name[name] for name in wish.split(","))


def all_answers(answers: Mapping[str, str]) -> dict[str, Any]:
    """Return the answers with the computed ones, as Copier passes them to templates."""
    config = yaml.safe_load((REPOSITORY / "copier.yml").read_text())
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(REPOSITORY),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        **{name: option for name, option in config["_envops"].items() if name != "undefined"},
    )
    known: dict[str, Any] = dict(answers)
    for name, details in config.items():
        if not name.startswith("_") and name not in known:
            known[name] = _default(environment, details, known)
    return known


def _default(environment: SandboxedEnvironment, details: Mapping[str, Any], known: Mapping[str, Any]) -> Any:
    default = details["default"]
    if not isinstance(default, str):
        return default
    rendered = environment.from_string(default).render(**known)
    return yaml.safe_load(rendered) if details["type"] in ("yaml", "json") else rendered


def _greedy(candidates: Iterable[tuple[Answer, ...]], chosen: Iterable[Variant]) -> tuple[Variant, ...]:
    """Return the candidates that it takes until every two answers have been together."""
    numbers: dict[tuple[Answer, Answer], int] = {}
    bits = {
        Variant(answers): sum(
            1 << numbers.setdefault(pair, len(numbers)) for pair in combinations(answers, 2)
        )
        for answers in candidates
    }
    missing = (1 << len(numbers)) - 1
    for variant in chosen:
        missing &= ~sum(1 << numbers[pair] for pair in variant.pairs)
    found: list[Variant] = []
    while missing:
        best = max(bits, key=lambda variant: (bits[variant] & missing).bit_count())
        found.append(best)
        missing &= ~bits[best]
    return tuple(found)


@cache
def _is_special(question: str, value: str) -> bool:
    """Return whether this is an answer to a paired question and not the default one."""
    defaults = {each.name: each.default for each in load_questions() if each.name in PAIRED}
    return question in defaults and value != defaults[question]


def _combinations(*, with_paired: bool) -> list[tuple[Answer, ...]]:
    """Return the answers that can be given together, the paired ones by default unless they are wanted."""
    environment = SandboxedEnvironment()
    found: list[tuple[Answer, ...]] = [()]
    for question in load_questions():
        if question.name not in varied_questions():
            continue
        varied = with_paired or question.name not in PAIRED
        choices = question.choices if varied else (str(question.default),)
        added = [(question.name, value) for value in choices]
        asked = _condition(environment, question)
        found = [
            answers + more
            for answers in found
            for more in ([(answer,) for answer in added] if asked(dict(answers)) else [()])
        ]
    return found


def _condition(environment: SandboxedEnvironment, question: Question) -> Callable[[Mapping[str, str]], bool]:
    """Return a function: is the question asked, given the answers before it?"""
    if question.condition is None:
        return lambda _: True
    compiled = environment.compile_expression(question.condition)
    return lambda answers: bool(compiled(**answers))


def answers_and_pairs() -> Iterator[tuple[Answer, ...]]:
    """Yield every answer and every pair of answers that occur in a variant."""
    yield from sorted({(answer,) for variant in every_variant() for answer in variant.answers})
    yield from sorted({pair for variant in every_variant() for pair in variant.pairs})

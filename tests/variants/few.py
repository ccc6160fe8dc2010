"""The choice of few runs for a test: together they have every pair of answers that its outcome depends on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeVar

from tests.variants.space import Answer

T = TypeVar("T")
Facts = set[tuple[Answer, ...]]


def pairs(answers: Mapping[str, str], questions: Sequence[str]) -> Facts:
    """Return every pair of the answers to these questions; a single answer if only one of them is asked."""
    relevant = [(question, answers[question]) for question in questions if question in answers]
    return set(combinations(relevant, min(2, len(relevant))))


def singles(answers: Mapping[str, str], questions: Collection[str]) -> Facts:
    """Return each answer to these questions."""
    return {((question, answers[question]),) for question in questions if question in answers}


def few(
    candidates: Sequence[T], facts: Callable[[T], Facts], burden: Callable[[T], int] = lambda _: 0
) -> Iterator[T]:
    """Yield candidates until each fact of any of them is one of those that were yielded.

    Greedy: next is the one with the most new facts, among equals the first with the least burden.
    """
    known = {candidate: facts(candidate) for candidate in candidates}
    missing = set().union(*known.values())
    while missing:
        best = max(candidates, key=lambda candidate: (len(known[candidate] & missing), -burden(candidate)))
        missing -= known[best]
        yield best

"""Distribution of variants over the Pythons: each variant on one, every answer on each."""

from __future__ import annotations

from collections.abc import Sequence

from tests.variants.space import Answer, Variant


def shares(variants: Sequence[Variant], pythons: int) -> list[list[Variant]]:
    """Return the share of the variants for each of this many Pythons; the first variant is on the first.

    Together they have every variant, and so every pair of answers of the variants; each alone has every
    answer. Greedy: a share takes the variant with the most answers that it lacks, preferably one
    that is in no other share; what is left over then goes to the smallest shares.
    """
    taken: set[Variant] = set()
    made: list[list[Variant]] = []
    for _ in range(pythons):
        share = _with_every_answer(variants, taken, variants[:1] if not made else ())
        taken |= set(share)
        made.append(share)
    for variant in variants:
        if made and variant not in taken:
            min(made, key=len).append(variant)
    return made


def _with_every_answer(
    variants: Sequence[Variant], taken: set[Variant], begin: Sequence[Variant]
) -> list[Variant]:
    share = list(begin)
    missing: set[Answer] = {answer for variant in variants for answer in variant.answers}
    missing -= {answer for variant in share for answer in variant.answers}
    while missing:
        best = max(variants, key=lambda variant: (len(missing & set(variant.answers)), variant not in taken))
        share.append(best)
        missing -= set(best.answers)
    return share

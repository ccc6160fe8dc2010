"""Tables in Markdown."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    """Return a table with these headings."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])

"""Check the English of documentation, docstrings, comments and messages: `python -m tools.prose [FILE ...]`.

The rules and their replacements are in prose.toml. Spelling is codespell's work; `make lint` runs both.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RULES = Path(__file__).with_name("prose.toml")
SUFFIXES = frozenset({".cfg", ".jinja", ".md", ".py", ".toml", ".yaml", ".yml"})
DOCSTRING = re.compile(r'^[rRbB]?"""')


@dataclass(frozen=True)
class Rule:
    """A pattern that plain English avoids, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str
    is_for_openers: bool


@dataclass(frozen=True)
class Finding:
    """A place that breaks a rule. Lines count from 1."""

    file: str
    line: int
    text: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text!r}: {self.instead}"


def read_rules(path: Path = RULES) -> list[Rule]:
    """Return the rules of a TOML file in their order.

    Raises:
        KeyError: A rule has no pattern or no replacement.
        re.error: A pattern is not a regular expression.
    """
    return [
        Rule(re.compile(rule["pattern"], re.IGNORECASE), rule["instead"], rule.get("opener", False))
        for rule in tomllib.loads(path.read_text(encoding="utf-8"))["rule"]
    ]


def findings(file: str, text: str, rules: Sequence[Rule]) -> Iterator[Finding]:
    """Yield what breaks the rules in a file's text; of Python, only its strings and comments are read."""
    for line, words, is_opener in _passages(file, text):
        for rule in rules:
            if rule.is_for_openers and not is_opener:
                continue
            for found in rule.pattern.finditer(words):
                yield Finding(file, line + words[: found.start()].count("\n"), found[0], rule.instead)


def _passages(file: str, text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line, text, and whether the text is a docstring, whose first word matters."""
    if not file.endswith((".py", ".py.jinja")) or "{%" in text:
        yield 1, text, False
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            yield token.start[0], token.string, bool(DOCSTRING.match(token.string))


def checked_files() -> list[str]:
    """Return the repository's text files that people read, relative to its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    names = [name for name in listed.stdout.split("\0") if name]
    return [
        name
        for name in names
        if Path(name).suffix in SUFFIXES and name not in _exempt() and (ROOT / name).is_file()
    ]


def _exempt() -> frozenset[str]:
    exempt: list[str] = tomllib.loads(RULES.read_text(encoding="utf-8"))["exempt"]
    return frozenset(exempt)


def main(arguments: Sequence[str]) -> int:
    """Print each finding, and return 1 if there are any."""
    rules = read_rules()
    found = [
        finding
        for file in arguments or checked_files()
        for finding in findings(file, (ROOT / file).read_text(encoding="utf-8"), rules)
    ]
    for finding in found:
        print(finding)
    print(f"{len(found)} findings in {len({finding.file for finding in found})} files", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

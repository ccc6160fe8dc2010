"""Check the English of documentation, docstrings, comments and messages.

Run `python -m tools.prose [FILE ...]`. The rules, with their replacements, are in prose.toml.
`make lint` runs this check, and codespell for spelling.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RULES = Path(__file__).with_name("prose.toml")
SUFFIXES = frozenset({".cfg", ".conf", ".jinja", ".md", ".py", ".toml", ".yaml", ".yml"})
NAMES = frozenset({".env.example", "Dockerfile", "Makefile"})
DOCSTRING = re.compile(r'^[rRbB]?"""')
# From Python 3.12 on, the text of an f-string is a token of another type.
TEXT_TOKENS = frozenset(
    {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
)


@dataclass(frozen=True)
class Rule:
    """A pattern that plain English avoids, and its replacement."""

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
    """Yield the findings in the text of a file. In Python, only strings and comments are checked."""
    for line, words, is_opener in _passages(file, text):
        for rule in rules:
            if rule.is_for_openers and not is_opener:
                continue
            for found in rule.pattern.finditer(words):
                yield Finding(file, line + words[: found.start()].count("\n"), found[0], rule.instead)


def _passages(file: str, text: str) -> Iterator[tuple[int, str, bool]]:
    """Yield line, text, and True for docstrings, whose first word matters."""
    if not file.endswith((".py", ".py.jinja")) or "{%" in text:
        yield 1, text, False
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in TEXT_TOKENS:
            yield token.start[0], token.string, bool(DOCSTRING.match(token.string))


def checked_files() -> list[str]:
    """Return the repository's files with text that people read, relative to its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    names = [name for name in listed.stdout.split("\0") if name]
    return [name for name in names if _is_text(name) and (ROOT / name).is_file()]


def _is_text(name: str) -> bool:
    path = Path(name)
    return path.suffix in SUFFIXES or path.name in NAMES


def exempt_paths() -> list[str]:
    """Return the paths of files that quote the rules."""
    paths: list[str] = tomllib.loads(RULES.read_text(encoding="utf-8"))["exempt"]
    return paths


def is_under(name: str, paths: Iterable[str]) -> bool:
    """Return True if one of the paths is the file itself, or a directory above it with a slash at its end."""
    return any(name == path or (path.endswith("/") and name.startswith(path)) for path in paths)


def findings_in(files: Iterable[str]) -> list[Finding]:
    """Return the findings in these files, except for files that are exempt."""
    rules, exempt = read_rules(), exempt_paths()
    return [
        finding
        for file in files
        if not is_under(file, exempt)
        for finding in findings(file, (ROOT / file).read_text(encoding="utf-8"), rules)
    ]


def main(arguments: Sequence[str]) -> int:
    """Print each finding. Return 1 if there is one."""
    parser = argparse.ArgumentParser(prog="python -m tools.prose", description="Check for plain English.")
    parser.add_argument("files", nargs="*", metavar="FILE", help="the default is every file in git")
    options = parser.parse_args(arguments)
    found = findings_in(file for file in options.files or checked_files() if _is_text(file))
    for finding in found:
        print(finding)
    print(f"{len(found)} findings in {len({finding.file for finding in found})} files", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The check of the project's English."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.prose import checked_files, findings, is_under, main, read_rules


def instead(file: str, text: str) -> list[str]:
    """Return the line and the replacement of each finding in the text."""
    return [f"{finding.line}: {finding.instead}" for finding in findings(file, text, read_rules())]


def test_a_docstring_that_starts_with_a_question_word_is_found() -> None:
    assert instead("a.py", '"""Where things are."""\n')
    assert instead("a.py", 'x = 1\n\n\ndef f() -> None:\n    """Tells whether it is."""\n')[0].startswith(
        "5: "
    )


def test_a_docstring_that_starts_with_a_verb_is_not_found() -> None:
    assert not instead("a.py", '"""Return the place."""\n')


def test_a_comment_and_a_message_are_read_and_code_is_not() -> None:
    assert instead("a.py", "nobody = 1  # Nobody knows.\n") == instead("a.py", 'x = "Nobody knows."\n')
    assert not instead("a.py", "nobody = whoever(58 % 7)\n")


def test_the_text_of_an_f_string_is_read() -> None:
    assert instead("a.py", 'x = f"Write {1} anew."\n') == ["1: again"]


def test_markdown_is_read_as_a_whole() -> None:
    assert instead("a.md", "# Title\n\nIt saves 58 % and is no plan.\n") == [
        "3: is not a …",
        "3: 58%, without a space",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a request of its own",
        "a page in the place of the response",
        "It fails where the file is missing.",
        "It is to be closed.",
        "all who wait",
        "one a line",
        "It lies in the project.",
        "It stands once in the file.",
        "It answers 404.",
        "as long as for ever",
        "after so many seconds",
        "| to | say |",
        "all files, uncommitted changes included.",
        "Somebody took the port.",
        "inside of a transaction",
        "while a request is under way",
        "The pool hands on the connection.",
        "The run goes on.",
        "It tells the latency.",
        "when the server answers",
        "7,000 requests a second",
        "a server that takes no changes",
        "what it knows of types",
        "by way of the pool",
        "It cannot be had.",
    ],
)
def test_words_that_read_like_a_translation_are_found(text: str) -> None:
    assert len(instead("a.md", text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "It is no longer there.",
        "There is no other way.",
        "58% of it",
        "Tags are included.",
        "The request goes on to the router.",
        "a type that takes no argument",
        "the answer to a question",
    ],
)
def test_plain_words_are_left_alone(text: str) -> None:
    assert not instead("a.md", text)


def test_a_rule_that_is_not_a_regular_expression_is_refused(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rule]]\npattern = '('\ninstead = 'x'\n")

    with pytest.raises(re.error):
        read_rules(rules)


def test_findings_end_with_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "a.md"
    document.write_text("Write it anew.\n")

    assert main([str(document)]) == 1
    assert f"{document}:1: 'anew': again" in capsys.readouterr().out


def test_every_kind_of_text_in_the_repository_is_checked() -> None:
    files = set(checked_files())

    assert {
        "Makefile",
        "README.md",
        "copier.yml",
        "generator/fastforge/cli/app.py",
        "template/.env.example",
        "template/README.md.jinja",
        "template/deploy/nginx/compression/gzip.conf",
    } <= files


def test_a_path_is_the_file_itself_or_a_directory_above_it() -> None:
    assert is_under("tests/test_prose.py", ["tests/"])
    assert not is_under("tests_of_others.py", ["tests/", "tests"])


def test_files_that_quote_the_rules_are_exempt() -> None:
    assert main(["tools/prose.toml"]) == 0

"""Files that are rendered per resource: the command and plain Copier render the same, and keep the record."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from fastforge.errors import UserError
from fastforge.template.render import render
from fastforge.template.request import RenderRequest
from fastforge.template.source import Source
from hypothesis import HealthCheck, Phase, given, settings

from tests.conftest import commit_all, git
from tests.repository import REPOSITORY
from tests.resource_lists import resource_lists

FILES = {
    "{{_copier_conf.answers_file}}.jinja": (
        "{% for name in _copier_answers | sort %}\n"
        "{{ {name: _copier_answers[name]} | to_nice_yaml(sort_keys=false) -}}\n"
        "{% endfor %}\n"
    ),
    "app/{% yield noun from nouns %}{{ noun.plural }}{% endyield %}/models.py.jinja": (
        "class {{ noun.class }}:\n"
        "{% for field in noun.fields %}    {{ field.name }} = {{ field.default_code or None }}\n{% endfor %}"
    ),
    "app/{% yield noun from nouns %}{{ noun.plural }}{% endyield %}/__init__.py": '"""Copied as it is."""\n',
    "app/resources.py.jinja": "{% for noun in nouns_in_order %}{{ noun.plural }}\n{% endfor %}",
    "versions/{% yield each from migrations %}{{ each.file }}.py{% endyield %}.jinja": (
        "revision = {{ each.id | to_json }}\n{% for step in each.steps %}# {{ step.phrase }}\n{% endfor %}"
    ),
}
SHOP: list[dict[str, Any]] = [
    {"name": "order", "fields": ["number:str:max=40:unique", "item:ref=items"], "without": ["batch"]},
    {"name": "item", "fields": ["name:str:default=x y"]},
]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a template with the questions and macros of FastForge, and few files."""
    folder = tmp_path_factory.mktemp("template")
    shutil.copy(REPOSITORY / "copier.yml", folder)
    shutil.copytree(REPOSITORY / "macros", folder / "macros")
    for name, text in FILES.items():
        (folder / "template" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "template" / name).write_text(text)
    commit_all(folder, "v1")
    return folder


def plain(template: Path, target: Path, answers: Mapping[str, Any]) -> Path:
    copier.run_copy(f"git+file://{template}", target, dict(answers), vcs_ref="v1", defaults=True, quiet=True)
    return target


def generated(template: Path, target: Path, answers: Mapping[str, Any]) -> tuple[Path, list[int]]:
    counts: list[int] = []
    source = Source(f"git+file://{template}", "v1")
    render(RenderRequest(answers, answers, source=source, template=template), target, counts.append)
    return target, counts


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_each_resource_has_its_files(template: Path, tmp_path: Path) -> None:
    project, counts = generated(template, tmp_path / "shop", {"resources": SHOP})

    files = tree(project)
    assert set(files) == {
        ".copier-answers.yml",
        "app/items/__init__.py",
        "app/items/models.py",
        "app/orders/__init__.py",
        "app/orders/models.py",
        "app/resources.py",
        "versions/0001_create_items_and_1_more.py",
    }
    assert files["app/items/models.py"] == 'class Item:\n    name = "x y"\n'
    assert files["app/resources.py"] == "items\norders\n"
    assert files["versions/0001_create_items_and_1_more.py"].endswith("# Create items\n# Create orders\n")
    assert counts == [len(files)] * len(files)


def test_without_resources_there_are_no_files(template: Path, tmp_path: Path) -> None:
    project, _ = generated(template, tmp_path / "shop", {"resources": []})

    assert set(tree(project)) == {".copier-answers.yml", "app/resources.py"}


@given(resource_lists())
@settings(
    deadline=None,
    max_examples=8,
    # Rendering is too slow to search for the smallest example.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_command_and_plain_copier_render_the_same(
    template: Path, tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[dict[str, Any], Any]]
) -> None:
    folder = tmp_path_factory.mktemp("doors")
    answers = {"resources": [resource for resource, _ in drawn]}

    one = plain(template, folder / "plain/shop", answers)
    other, _ = generated(template, folder / "ours/shop", answers)

    assert tree(one) == tree(other)
    recorded = yaml.safe_load((one / ".copier-answers.yml").read_text())
    assert recorded["resources"] == answers["resources"]
    again, _ = generated(
        template, folder / "again/shop", {key: value for key, value in recorded.items() if key[0] != "_"}
    )
    assert tree(again) == tree(other)
    for file in one.rglob("*.py"):
        compile(file.read_text(), str(file), "exec")


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "a word": {"resources": "abc"},
    "nothing": {"resources": None},
    "a mapping": {"resources": {}},
    "an unknown type": {"resources": [{"name": "order", "fields": ["a:strr"]}]},
    "revisions of nothing": {"revisions": []},
    "revisions as a word": {"revisions": "abc"},
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
def test_the_command_and_plain_copier_refuse_the_same(template: Path, tmp_path: Path, case: str) -> None:
    with pytest.raises(ValueError, match="Validation error for question") as plainly:
        plain(template, tmp_path / "plain", BAD_ANSWERS[case])
    with pytest.raises(UserError) as ours:
        generated(template, tmp_path / "ours", BAD_ANSWERS[case])

    assert ours.value.message in str(plainly.value)
    assert not (tmp_path / "plain").exists()


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """Return a committed project of plain Copier with two resources."""
    folder = plain(template, tmp_path / "shop", {"resources": SHOP})
    commit_all(folder, "start")
    return folder


def update(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "copier", "update", "--defaults", "--quiet", *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_plain_copier_adds_a_resource_with_its_revision(project: Path) -> None:
    tag = {"name": "tag", "fields": ["name:str"]}
    recorded = yaml.safe_load((project / ".copier-answers.yml").read_text())
    revisions = [*recorded["revisions"], {"id": "a" * 12, "after": "0001", "steps": [{"create": tag}]}]
    (project.parent / "data.yml").write_text(
        yaml.safe_dump({"resources": [*SHOP, tag], "revisions": revisions})
    )

    done = update(project, "--data-file", str(project.parent / "data.yml"))

    assert done.returncode == 0, done.stderr
    assert (project / "app/tags/models.py").is_file()
    assert (project / "versions/aaaaaaaaaaaa_create_tags.py").is_file()


def test_plain_copier_adds_no_resource_without_a_revision(project: Path) -> None:
    done = update(project, "--data", f"resources={[*SHOP, {'name': 'tag', 'fields': ['name:str']}]}")

    assert done.returncode != 0
    assert "No revision creates tag" in done.stderr
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("number:str:max=40:unique", "number:strr:max=40:unique", '"strr" is not a type'),
        ("name: order", "name: orderr", "No revision creates orderr"),
    ],
)
def test_plain_copier_refuses_a_broken_record_instead_of_using_the_sample(
    project: Path, old: str, new: str, message: str
) -> None:
    file = project / ".copier-answers.yml"
    file.write_text(file.read_text().replace(old, new, 1))
    git(project, "commit", "--quiet", "--all", "-m", "Break the record")

    done = update(project)

    assert done.returncode != 0
    assert message in done.stderr
    assert git(project, "status", "--porcelain") == ""

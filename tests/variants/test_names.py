"""Any name and description of a project survive in every file."""

from __future__ import annotations

import ast
import json
import subprocess
import tomllib
from html.parser import HTMLParser

import pytest
import yaml
from markdown_it import MarkdownIt
from packaging.utils import canonicalize_name

from tests.variants.environments import clean_environment, environment_of_all
from tests.variants.rendering import Project, Renderer

TEXTS = [
    ("Żółw API", "Ein \"Ding\" mit 'Anführung' & <b>Fettem</b>"),
    ("日本語", "説明: # 一 {{ x }} {% y %} {# z #}"),
    ("O'Reilly & <Söhne>", "back\\slash $HOME ${HOME} `id` $(id) %s %(a)s {0}"),
    ('"Quoted" API', "'''\"\"\"''' --- : - [a] {b} | > * & ! % @ ` _c_ __d__"),
    ("yes", "true"),
    ("Items & more", ""),
    ("1st? No: first!".removeprefix("1st? "), "- looks like a list"),
    ("Emoji 🦊 API", "🦊 <!-- --> ]]> </script> | \\ \\n \\u0041 &amp; &lt;"),
]
ASK_THE_SERVICE = """\
import json
from fastapi.testclient import TestClient
from app.main import create_app
client = TestClient(create_app())
print(json.dumps({"info": client.get("/openapi.json").json()["info"], "docs": client.get("/docs").text}))
"""


class Words(HTMLParser):
    """A parser that returns the page's title and scripts as a browser would."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside = ""
        self.title = ""
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.inside = tag
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.title += data if self.inside == "title" else ""


@pytest.fixture(params=TEXTS, ids=[name for name, _ in TEXTS], scope="module")
def named_project(request: pytest.FixtureRequest, renderer: Renderer) -> Project:
    name, description = request.param
    everything = {"database": "postgres", "cache": "redis", "deployment": "nginx"}
    return renderer.render({"project_name": name, "description": description, **everything})


@pytest.fixture
def name(named_project: Project) -> str:
    return str(named_project.answers["project_name"])


@pytest.fixture
def description(named_project: Project) -> str:
    return str(named_project.answers["description"])


def test_they_survive_in_the_answers_file(named_project: Project, name: str, description: str) -> None:
    answers = yaml.safe_load(named_project.read(".copier-answers.yml"))

    assert (answers["project_name"], answers["description"]) == (name, description)


def test_they_survive_in_toml(named_project: Project, description: str) -> None:
    project = tomllib.loads(named_project.read("pyproject.toml"))["project"]

    assert project["description"] == description
    assert project["name"] == canonicalize_name(project["name"], validate=True)


def test_they_survive_in_python(named_project: Project, name: str, description: str) -> None:
    tree = ast.parse(named_project.read("app/forge/about.py"))
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }

    assert (constants["NAME"], constants["DESCRIPTION"]) == (name, description)


def test_they_survive_in_markdown(named_project: Project, name: str, description: str) -> None:
    tokens = MarkdownIt().parse(named_project.read("README.md"))
    blocks = [token.children or [] for token in tokens if token.type == "inline"]
    texts = ["".join(child.content for child in children) for children in blocks]

    assert texts[0] == name
    assert not description or texts[1] == description
    assert {child.type for children in blocks[:2] for child in children} <= {
        "text",
        "text_special",
    } or not description


def test_compose_names_are_valid(named_project: Project) -> None:
    compose = yaml.safe_load(named_project.read("compose.yaml"))

    assert compose["name"] == tomllib.loads(named_project.read("pyproject.toml"))["project"]["name"]


@pytest.mark.thorough
def test_they_survive_in_the_running_service(named_project: Project, name: str, description: str) -> None:
    done = subprocess.run(
        [environment_of_all() / "bin" / "python", "-c", ASK_THE_SERVICE],
        cwd=named_project.folder,
        env=clean_environment(DATABASE_URL="postgresql://localhost/names", REDIS_URL="redis://localhost"),
        check=True,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)

    page = Words(told["docs"])

    assert (told["info"]["title"], told["info"].get("description", "")) == (name, description)
    assert page.title.strip() == f"{name} - Swagger UI"
    assert "b" not in page.tags

"""The schemas that GitHub, GitLab, Compose and Renovate publish for their files."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from ruamel.yaml import YAML

# check-jsonschema contains copies of the published schemas, so that no test needs the network.
VENDORED = files("check_jsonschema.builtin_schemas.vendor")
SCHEMAS = {
    ".github/workflows/ci.yml": "github-workflows",
    ".github/workflows/template-update.yml": "github-workflows",
    ".github/ISSUE_TEMPLATE/bug.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    ".github/ISSUE_TEMPLATE/idea.yml": "github-issue-forms",
    ".gitlab-ci.yml": "gitlab-ci",
    "compose.yaml": "compose-spec",
    "renovate.json": "renovate",
}


@cache
def schema_errors(name: str, text: str) -> list[str]:
    """Return the errors of this text according to the schema of the file `name`."""
    # YAML 1.2, in which a workflow's `on` is not a boolean; JSON is YAML, too.
    document = YAML(typ="safe").load(text)
    return [f"{name}: {error.json_path}: {error.message}" for error in _validator(name).iter_errors(document)]


@cache
def _validator(name: str) -> Validator:
    schema: dict[str, Any] = json.loads(VENDORED.joinpath(f"{SCHEMAS[name]}.json").read_text("utf-8"))
    return validator_for(schema)(schema)

"""The twins: beside each `x.jinja` in template/ lies `x`, its rendering with default answers.

`python -m tests.twins` writes them anew; tests/test_template.py fails where one is out of date.
"""

import shutil
import tempfile
from pathlib import Path

import copier

REPOSITORY = Path(__file__).parent.parent
TEMPLATE = REPOSITORY / "template"
ANSWERS = {"project_name": "Items API", "description": "A FastAPI service that keeps items."}


def render_without_git(destination: Path, answers: dict[str, str]) -> None:
    """Render the template as it lies in the working tree, uncommitted changes included."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        shutil.copy(REPOSITORY / "copier.yml", source)
        ignored = shutil.ignore_patterns(".venv", "var", "__pycache__", ".*_cache")
        shutil.copytree(TEMPLATE, source / "template", ignore=ignored)
        copier.run_copy(str(source), destination, data=answers, defaults=True, quiet=True, overwrite=True)


def twins() -> list[Path]:
    """Return the paths, relative to template/, that have a joint; the answers file has no twin."""
    joints = (path.relative_to(TEMPLATE) for path in TEMPLATE.rglob("*.jinja"))
    return sorted(path.with_suffix("") for path in joints if "{{" not in path.name)


def main() -> None:
    """Write every twin that the default variant contains."""
    with tempfile.TemporaryDirectory() as folder:
        rendered = Path(folder)
        render_without_git(rendered, ANSWERS)
        for twin in twins():
            if (rendered / twin).exists():
                shutil.copy(rendered / twin, TEMPLATE / twin)
                print(twin)


if __name__ == "__main__":
    main()

"""The default renderings: beside each `x.jinja` in template/, its output `x` for the default answers.

If the default variant has no such file, it comes from the variant that differs least and has one.
`python -m tests.twins` writes them; tests/test_template.py fails if one is out of date.
"""

import tempfile
from pathlib import Path
from typing import Any

from tests.repository import TEMPLATE
from tests.variants.rendering import Renderer
from tests.variants.space import Variant, default_variant, every_variant

# Without resources: the template is a service that runs in place, and resources are rendered per answer.
ANSWERS: dict[str, Any] = {
    "project_name": "Items API",
    "description": "A FastAPI service that keeps items.",
    "resources": [],
}


def twins() -> list[Path]:
    """Return the paths, relative to template/, that have a `.jinja` file, except for the answers file."""
    joints = (path.relative_to(TEMPLATE) for path in TEMPLATE.rglob("*.jinja"))
    return sorted(path.with_suffix("") for path in joints if "{{" not in str(path))


def twin_texts(renderer: Renderer) -> dict[Path, str]:
    """Return the content of each default rendering."""
    texts: dict[Path, str] = {}
    for variant in sorted(every_variant(), key=_distance_from_default):
        if texts.keys() >= set(twins()):
            break
        project = renderer.render({**ANSWERS, **dict(variant.answers)})
        rendered = {twin: project.read(twin) for twin in twins() if (project.folder / twin).exists()}
        texts = rendered | texts
        renderer.remove(project)
    return texts


def _distance_from_default(variant: Variant) -> int:
    return len(set(variant.answers) - set(default_variant().answers))


def main() -> None:
    """Write every default rendering."""
    with tempfile.TemporaryDirectory() as folder:
        for twin, text in twin_texts(Renderer(Path(folder))).items():
            (TEMPLATE / twin).write_text(text, encoding="utf-8")
            print(twin)


if __name__ == "__main__":
    main()

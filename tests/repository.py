"""Paths of this repository."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# Lets the tests use another template: a copy that was broken on purpose (tests/mutants).
TEMPLATE_VARIABLE = "FASTFORGE_TEMPLATE"
TEMPLATE = Path(os.environ.get(TEMPLATE_VARIABLE) or REPOSITORY / "template")
OPTIMIZATIONS = REPOSITORY / "kit/optimizations"
VAR = REPOSITORY / "var"

"""The records of optimizations, read by the module that every generated project has for it."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

from fastforge.source import template_folder

TUNINGS = "benchmarks/tunings"
_MODULE = "fastforge._tunings"


@cache
def load_module() -> Any:  # noqa: ANN401 (the module lies in the template, where no type checker follows)
    """Return the template's `benchmarks/tunings.py` as a module. A project's own is never run."""
    spec = spec_from_file_location(_MODULE, template_folder() / "template" / f"{TUNINGS}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    # Where dataclasses look for the names in annotations.
    sys.modules[_MODULE] = module
    spec.loader.exec_module(module)
    return module

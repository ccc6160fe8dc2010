"""The optimizations of a project, read by the measuring kit's own module. No code of the project runs."""

from __future__ import annotations

import sys

from fastforge.template.source import template_directory

sys.path.append(str(template_directory() / "kit"))

from fastforge_kit.optimizations import ChangedHere, Optimization, Place, load_optimizations

__all__ = ["ChangedHere", "Optimization", "Place", "load_optimizations"]

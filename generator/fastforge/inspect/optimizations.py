"""The optimizations of a project, read by the measuring kit's module; no code of the project runs."""

from __future__ import annotations

import sys

from fastforge.template.source import template_folder

sys.path.append(str(template_folder() / "kit"))

from fastforge_kit.optimizations import (
    ChangedHere,
    Edit,
    Optimization,
    OptimizationMeasurement,
    Place,
    load_optimizations,
    without,
)

__all__ = [
    "ChangedHere",
    "Edit",
    "Optimization",
    "OptimizationMeasurement",
    "Place",
    "load_optimizations",
    "without",
]

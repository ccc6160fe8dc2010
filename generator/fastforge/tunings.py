"""The records of optimizations, read by the measuring kit's module; no project's code is run for it."""

from __future__ import annotations

import sys

from fastforge.source import template_folder

sys.path.append(str(template_folder() / "kit"))

from fastforge_kit.tunings import ChangedHere, Edit, Measured, Place, Tuning, load_tunings, without

__all__ = ["ChangedHere", "Edit", "Measured", "Place", "Tuning", "load_tunings", "without"]

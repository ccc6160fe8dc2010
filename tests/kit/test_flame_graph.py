"""The table of `fastforge profile` has the figures that py-spy drew."""

from collections import Counter
from pathlib import Path

import pytest
from fastforge_kit.flame_graph import own_samples

# As py-spy 0.4 writes it, without its scripts and colours.
BOX = '<g><title>{0} ({3} samples, 1%)</title><rect y="{1}" fg:x="{2}" fg:w="{3}"/><text>{0}</text></g>'
FRAMES = [
    ("all", 36, 0, 10),
    ("serve (app/a.py)", 52, 0, 7),
    ("wait (app/b.py)", 52, 7, 3),
    ("read (app/a.py)", 68, 0, 4),
    ("serve (app/a.py)", 68, 4, 2),
]


@pytest.fixture
def svg(tmp_path: Path) -> Path:
    path = tmp_path / "profile.svg"
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:fg="http://github.com/jonhoo/inferno"'
    boxes = "".join(BOX.format(*frame) for frame in FRAMES)
    path.write_text(f'<?xml version="1.0"?><svg {spaces}><svg id="frames">{boxes}</svg></svg>')
    return path


def test_each_function_has_its_own_samples_wherever_it_was_called(svg: Path) -> None:
    assert +own_samples(svg) == Counter(
        {"read (app/a.py)": 4, "serve (app/a.py)": 1 + 2, "wait (app/b.py)": 3}
    )

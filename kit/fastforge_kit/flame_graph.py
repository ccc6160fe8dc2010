"""The figures in a flame graph of py-spy, which writes either an SVG or a table, but not both."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"
SAMPLES = "{http://github.com/jonhoo/inferno}"


class _Frame(NamedTuple):
    """A box of the graph: the function, and which of the samples it spans."""

    start: int
    samples: int
    function: str


def own_samples(svg: Path) -> Counter[str]:
    """Return in how many samples each function itself ran, without what it called."""
    levels: dict[float, list[_Frame]] = {}
    for depth, frame in _frames(svg):
        levels.setdefault(depth, []).append(frame)
    ordered = [sorted(levels[depth]) for depth in sorted(levels)]
    own: Counter[str] = Counter()
    for callers, called in zip(ordered, [*ordered[1:], []], strict=True):
        own.update({caller.function: 0 for caller in callers})
        for caller in callers:
            own[caller.function] += caller.samples
        for frame in called:
            own[callers[bisect_right(callers, frame.start, key=_start) - 1].function] -= frame.samples
    return own


def _start(frame: _Frame) -> int:
    return frame.start


def _frames(svg: Path) -> Iterator[tuple[float, _Frame]]:
    for group in ElementTree.parse(svg).iter(f"{SVG}g"):  # noqa: S314 (py-spy has just written it)
        title, box = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        if title is not None and box is not None:
            # The function and its file, then how many samples and how many percent.
            function = (title.text or "").rpartition(" (")[0]
            start, samples = (int(box.attrib[SAMPLES + name]) for name in ("x", "w"))
            yield float(box.attrib["y"]), _Frame(start, samples, function)

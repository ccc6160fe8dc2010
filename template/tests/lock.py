"""Pin exact versions: `make lock` writes the requirement files from the ranges in pyproject.toml.

Versions that still fit their ranges stay; `--upgrade` chooses the newest. They work with CPython 3.11 and later on
Linux, macOS and Windows. This uses the package index; nothing else in the project does after `make install`.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import uv

PROJECT = Path(__file__).parents[1]
# The groups of each file, which lists their packages that the previous files lack.
FILES = {
    PROJECT / "requirements.txt": [],
    PROJECT / "requirements-dev.txt": ["dev"],
    PROJECT / "requirements-load.txt": ["dev", "load"],
}
FLAGS = [
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-annotate",
    "--no-header",
    "--quiet",
]
PINNED = re.compile(r"^[\w.-]+(\[.+\])?==", re.MULTILINE)

# Of each package, every line that pip reads about it.
Blocks = dict[str, str]


def main() -> None:
    """Write all files, or none: exit with the end of uv's output if the ranges cannot be met."""
    texts = {file: file.read_text(encoding="utf-8") for file in FILES}
    pinned = "" if "--upgrade" in sys.argv[1:] else "".join(_below_head(text) for text in texts.values())
    every_group = list(FILES.values())[-1]
    limits = _without_hashes(_resolved(every_group, preferred=pinned))
    before: Blocks = {}
    for file, groups in FILES.items():
        needed = _resolved(groups, limits=limits)
        beyond = [block for name, block in needed.items() if before.get(name) != block]
        texts[file] = texts[file].removesuffix(_below_head(texts[file])) + "".join(beyond)
        before = needed
    for file, text in texts.items():
        file.write_text(text, encoding="utf-8")


def _below_head(text: str) -> str:
    """Return all packages of a file, without the text above them."""
    first = PINNED.search(text)
    return text[first.start() :] if first else ""


def _resolved(groups: list[str], limits: str = "", preferred: str = "") -> Blocks:
    """Return the requirements of the service and of these groups of pyproject.toml."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, exact = Path(folder, "constraints.txt"), Path(folder, "exact.txt")
        constraints.write_text(limits, encoding="utf-8")
        # uv keeps versions that are already in its output if they fit.
        exact.write_text(preferred, encoding="utf-8")
        chosen = [f"--group={group}" for group in groups]
        command = [uv.find_uv_bin(), "pip", "compile", *FLAGS, "pyproject.toml", *chosen]
        command += [f"--constraints={constraints}", f"--output-file={exact}"]
        if subprocess.run(command, cwd=PROJECT, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            sys.exit("The requirement files are unchanged.")
        return _blocks(exact.read_text(encoding="utf-8"))


def _blocks(text: str) -> Blocks:
    blocks: Blocks = {}
    for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]:
        name = re.split(r"[=\[ ]", block, maxsplit=1)[0]
        # A service does not run in browsers.
        if "sys_platform == 'emscripten'" not in block:
            blocks[name] = blocks.get(name, "") + block
    return blocks


def _without_hashes(blocks: Blocks) -> str:
    lines = (line for block in blocks.values() for line in block.splitlines())
    return "\n".join(line.rstrip(" \\") for line in lines if not line.startswith(" "))


if __name__ == "__main__":
    main()

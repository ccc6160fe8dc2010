"""Pin exact versions: write template/requirements*.txt.jinja and FastForge's own, with hashes.

`python -m tests.lock` keeps versions that still fit the ranges; with `--upgrade` it chooses the newest.
All variants share one resolution, valid for CPython 3.11 and later on Linux, macOS and Windows. Each
package occurs once, under the condition on the answers that need it, directly or not.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import chain, combinations
from operator import itemgetter
from pathlib import Path
from typing import Any

import uv

from tests.repository import REPOSITORY, TEMPLATE
from tests.variants.space import Variant, all_answers, every_variant

RUNTIME = TEMPLATE / "requirements.txt.jinja"
DEVELOPMENT = TEMPLATE / "requirements-dev.txt.jinja"
LOAD = TEMPLATE / "requirements-load.txt.jinja"
OWN = REPOSITORY / "requirements" / "fastforge.txt"
OWN_DEVELOPMENT = REPOSITORY / "requirements" / "dev.txt"

HEADER = """\
# {title}, with the hashes of
# their files, for CPython 3.11 and later on Linux, macOS and Windows. After a change there, run `make lock`.
"""
RUNTIME_HEADER = HEADER.format(
    title="The exact versions that were tested of what pyproject.toml lists under dependencies"
)
DEVELOPMENT_HEADER = HEADER.format(
    title="What tests and checks need beyond requirements.txt, as pyproject.toml lists it"
)
LOAD_HEADER = HEADER.format(
    title="What `make load` needs beyond requirements-dev.txt, as pyproject.toml lists it"
)
OWN_HEADER = (
    "# Made by `make lock` of pyproject.toml and its group {}: exact versions, with the files' hashes.\n\n"
)

# One per package: its name, and every line that pip reads about it.
Blocks = dict[str, str]
Ranges = tuple[str, ...]


def main() -> None:
    """Write all files."""
    upgrade = "--upgrade" in sys.argv[1:]
    variants = every_variant()
    runtime = {variant: _ranges(variant)["dependencies"] for variant in variants}
    tested = {variant: runtime[variant] + _ranges(variant)["dev_dependencies"] for variant in variants}
    everything = {variant: tested[variant] + _ranges(variant)["load_dependencies"] for variant in variants}
    union = tuple(dict.fromkeys(line for lines in everything.values() for line in lines))
    master = _resolve(union, preferred="" if upgrade else _without_jinja(RUNTIME, DEVELOPMENT, LOAD))
    constraints = _exact_versions(master)

    distinct = {*runtime.values(), *tested.values(), *everything.values()}
    # uv waits for the package index most of the time.
    with ThreadPoolExecutor(8) as threads:
        resolve = partial(_resolve, constraints=constraints)
        closures = dict(zip(distinct, threads.map(resolve, distinct), strict=True))
    needed = {variant: closures[runtime[variant]] for variant in variants}
    beyond = {variant: _beyond(closures[tested[variant]], needed[variant]) for variant in variants}
    load = {
        variant: _beyond(closures[everything[variant]], closures[tested[variant]]) for variant in variants
    }
    RUNTIME.write_text(RUNTIME_HEADER + "\n" + _conditional(needed))
    DEVELOPMENT.write_text(DEVELOPMENT_HEADER + "\n-r requirements.txt\n\n" + _conditional(beyond))
    LOAD.write_text(LOAD_HEADER + "\n-r requirements-dev.txt\n\n" + _conditional(load))
    _lock_fastforge(upgrade)


def _lock_fastforge(upgrade: bool) -> None:
    preferred = "" if upgrade else _without_jinja(OWN, OWN_DEVELOPMENT)
    everything = _resolve_own("dev", preferred)
    constraints = _exact_versions(everything)
    own = _resolve_own("build", constraints)
    OWN.write_text(OWN_HEADER.format("build") + "".join(own.values()))
    beyond = "".join(_beyond(everything, own).values())
    OWN_DEVELOPMENT.write_text(OWN_HEADER.format("dev") + "-r fastforge.txt\n\n" + beyond)


def _ranges(variant: Variant) -> dict[str, Ranges]:
    return {
        name: tuple(_known(variant)[name])
        for name in ("dependencies", "dev_dependencies", "load_dependencies")
    }


@cache
def _known(variant: Variant) -> dict[str, Any]:
    return all_answers({"project_name": "Items API", "description": "", **dict(variant.answers)})


def _without_jinja(*files: Path) -> str:
    """Return the exact versions that are in the files now."""
    lines = (line for path in files if path.exists() for line in path.read_text().splitlines())
    return "\n".join(line for line in lines if re.match(r"\S+==|    --hash", line))


def _resolve(ranges: Ranges, constraints: str = "", preferred: str = "") -> Blocks:
    """Return exact versions for the ranges and for all they need."""
    with tempfile.TemporaryDirectory() as folder:
        source, limits = Path(folder, "ranges.in"), Path(folder, "constraints.txt")
        source.write_text("\n".join(ranges))
        limits.write_text(constraints)
        return _compile([str(source), "--constraints", str(limits)], Path(folder, "exact.txt"), preferred)


def _resolve_own(group: str, preferred: str) -> Blocks:
    with tempfile.TemporaryDirectory() as folder:
        source = [str(REPOSITORY / "pyproject.toml"), "--group", f"{REPOSITORY / 'pyproject.toml'}:{group}"]
        return _compile(source, Path(folder, "exact.txt"), preferred)


def _compile(source: list[str], exact: Path, preferred: str) -> Blocks:
    """Return uv's resolution of the source; it keeps the preferred versions if they fit."""
    exact.write_text(preferred)
    flags = [
        "--universal",
        "--python-version=3.11",
        "--generate-hashes",
        "--no-annotate",
        "--no-header",
        "--quiet",
    ]
    command = [uv.find_uv_bin(), "pip", "compile", *flags, *source, "--output-file", str(exact)]
    subprocess.run(command, check=True, cwd=exact.parent, stdout=subprocess.DEVNULL)
    blocks: Blocks = {}
    for block in re.split(r"^(?=\S)", exact.read_text(), flags=re.MULTILINE)[1:]:
        name = re.split(r"[=\[ ]", block, maxsplit=1)[0]
        # A service does not need packages for browsers.
        if "sys_platform == 'emscripten'" not in block:
            blocks[name] = blocks.get(name, "") + block
    return blocks


def _exact_versions(blocks: Blocks) -> str:
    """Return one line per package and version, without hashes."""
    lines = (line for block in blocks.values() for line in block.splitlines())
    return "\n".join(line.rstrip(" \\") for line in lines if not line.startswith(" "))


def _beyond(everything: Blocks, runtime: Blocks) -> Blocks:
    # A package that both need may stand under other conditions here, which differ on PyPy only.
    return {name: block for name, block in everything.items() if name not in runtime}


def _conditional(needed: Mapping[Variant, Blocks]) -> str:
    """Return all packages by name, each under the condition of the variants that need it."""
    variants: dict[tuple[str, str], set[Variant]] = {}
    for variant, blocks in needed.items():
        for package in blocks.items():
            variants.setdefault(package, set()).add(variant)
    return "".join(
        block if len(who) == len(needed) else f"{{% if {condition(who)} %}}\n{block}{{% endif %}}\n"
        for (_, block), who in sorted(variants.items(), key=itemgetter(0))
    )


def condition(variants: set[Variant]) -> str:
    """Return a Jinja expression that is true for these variants and for no other.

    Greedy: among the terms that hold for none of the others, those with the fewest comparisons that hold for
    the most variants.
    """
    terms = {term: who for term, who in _terms().items() if who <= variants}
    chosen: list[str] = []
    missing = set(variants)
    while missing:
        best = max(terms, key=lambda term: (len(terms[term] & missing), -term.count(" and "), -len(term)))
        chosen.append(best)
        missing -= terms[best]
    return " or ".join(chosen)


@cache
def _terms() -> dict[str, frozenset[Variant]]:
    """Return every conjunction of up to three comparisons, with the variants for which it holds."""
    single = dict(_comparisons())
    terms: dict[frozenset[Variant], str] = {}
    for together in chain.from_iterable(combinations(single, size) for size in (1, 2, 3)):
        who = frozenset.intersection(*(single[comparison] for comparison in together))
        terms.setdefault(who, " and ".join(together))
    return {term: who for who, term in terms.items() if who}


def _comparisons() -> Iterable[tuple[str, frozenset[Variant]]]:
    """Yield comparisons of every answer that differs between variants, including computed ones."""
    known = {variant: _known(variant) for variant in every_variant()}
    for question in next(iter(known.values())):
        answers = {
            variant: value for variant, every in known.items() if isinstance(value := every[question], str)
        }
        values = sorted(set(answers.values()))
        for sign in ("==", "!=") if len(values) > 1 else ():
            for value in values:
                holds = (
                    variant for variant, answer in answers.items() if (answer == value) == (sign == "==")
                )
                yield f"{question} {sign} '{value}'", frozenset(holds)


if __name__ == "__main__":
    main()

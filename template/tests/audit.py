"""Audit the project: `make audit` looks for known vulnerabilities in the exact versions, and for secrets in the files.

It asks osv.dev; `--service-url` names another service with the same API.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import uv

PROJECT = Path(__file__).parents[1]
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements-load.txt")
PINNED = re.compile(r"^([\w.-]+(?:\[.+\])?==[^\\\n]+?) *\\?$", re.MULTILINE)
# Hashes look like secrets, and FastForge checks its own code.
EXCLUDED = r"^requirements[^/]*\.txt$|^\.copier-answers\.yml$|^app/forge/"


def main(arguments: list[str]) -> None:
    """Exit with 1 if anything is found, after all of it was shown."""
    codes = [_vulnerabilities(arguments), _secrets()]
    sys.exit(1 if any(codes) else 0)


def _vulnerabilities(arguments: list[str]) -> int:
    texts = (PROJECT.joinpath(name).read_text(encoding="utf-8") for name in REQUIREMENTS)
    pins = [pin.replace("'", '"') for text in texts for pin in PINNED.findall(text)]
    lines = ["# /// script", '# requires-python = ">=3.11"', "# dependencies = ["]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "exact.py")
        script.write_text("\n".join([*lines, *(f"#   '{pin}'," for pin in pins), "# ]", "# ///", ""]))
        # A preview only means that its options may change; uv is pinned.
        command = [uv.find_uv_bin(), "audit", "--preview-features", "audit", "--script", str(script)]
        return subprocess.run([*command, *arguments], check=False).returncode


def _secrets() -> int:
    tracked = subprocess.run(["git", "ls-files"], cwd=PROJECT, check=True, capture_output=True, text=True)
    command = [sys.executable, "-m", "detect_secrets.pre_commit_hook", "--exclude-files", EXCLUDED]
    found = subprocess.run([*command, *tracked.stdout.splitlines()], cwd=PROJECT, check=False).returncode
    if not found:
        print("No secret in the files.")  # noqa: T201
    return found


if __name__ == "__main__":
    main(sys.argv[1:])

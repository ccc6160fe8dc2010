"""Pin container images: `make pin` adds the digest of each image in `FILES`, or replaces it by that of today.

A tag can be moved to another image, a digest cannot. This asks the registries through Docker; run it again to get the
newest fixes of the same tags.
"""

import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[1]
FILES = ("Dockerfile", "compose.yaml", ".github/workflows/ci.yml", ".gitlab-ci.yml")
# Only images with a tag: others are built here. A variable in the name or tag cannot be pinned.
IMAGE = re.compile(
    r"^(?P<before>\s*(?:FROM|(?:- )?(?:image|name):) +)(?P<image>[a-z0-9][a-z0-9./_-]*:[\w.-]+)"
    r"(?:@sha256:[0-9a-f]{64})?(?=\s|$)",
    re.MULTILINE,
)


def main() -> None:
    """Write all files, or none: exit with Docker's reason if a digest is not available."""
    paths = [path for name in FILES if (path := PROJECT / name).is_file()]
    pinned = {path: IMAGE.sub(_pinned, path.read_text(encoding="utf-8")) for path in paths}
    for path, text in pinned.items():
        path.write_text(text, encoding="utf-8")


def _pinned(found: re.Match[str]) -> str:
    return f"{found['before']}{found['image']}@{_digest(found['image'])}"


@cache
def _digest(image: str) -> str:
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"The digest of {image} is not available, so no file was changed: {done.stderr.strip()}")
    digest: str = json.loads(done.stdout)["digest"]
    print(f"{image}@{digest}")  # noqa: T201
    return digest


if __name__ == "__main__":
    main()

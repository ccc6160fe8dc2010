"""Known vulnerabilities of the installed packages, from osv.dev: https://google.github.io/osv.dev/post-v1-querybatch/"""

import json
from collections.abc import Mapping
from http.client import HTTPException
from urllib.request import Request, urlopen

from app.forge.doctor.findings import Finding, NotChecked, Outcomes

ADVISORIES = "https://api.osv.dev/v1/querybatch"
CHECK = "packages.vulnerable"
TIMEOUT_SECONDS = 5
SHOWN = 5


def check_advisories(installed: Mapping[str, str], url: str | None) -> Outcomes:
    """Yield a finding for each package with known vulnerabilities. Only names and versions are sent."""
    if url is None:
        yield NotChecked(CHECK, "--offline was given")
        return
    if not url.startswith(("https://", "http://")):
        yield NotChecked(CHECK, f"--advisories {url} is not the URL of a web server")
        return
    try:
        known = _known(installed, url)
    except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
        yield NotChecked(CHECK, f"{url} cannot be reached or read ({type(error).__name__})")
        return
    for name, ids in known.items():
        more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
        yield Finding(
            CHECK,
            "error",
            f"{name} {installed[name]} has known vulnerabilities: {', '.join(ids[:SHOWN])}{more}.",
            "Take fixed versions: make lock FLAGS=--upgrade, then make install test. See https://osv.dev/vulnerability/"
            f"{ids[0]}",
        )


def _known(installed: Mapping[str, str], url: str) -> dict[str, list[str]]:
    queries = [
        {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
        for name, version in installed.items()
    ]
    body = json.dumps({"queries": queries}).encode()
    request = Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 (checked by the caller)
    with urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
        results = json.load(response)["results"]
    found = zip(installed, results, strict=True)
    return {
        name: [str(each["id"]) for each in result["vulns"]] for name, result in found if result.get("vulns")
    }

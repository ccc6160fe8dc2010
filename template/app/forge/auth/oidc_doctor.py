"""Check of the issuer of access tokens."""

import asyncio

from app.forge.auth.oidc import keys_of
from app.forge.auth.oidc_fetch import FetchFailed
from app.forge.doctor.findings import Context, Finding, NotChecked, Outcomes


def check_issuer(context: Context) -> Outcomes:
    """Yield a finding if the keys of the issuer cannot be fetched."""
    if "oidc_issuer" in context.replaced:
        yield NotChecked("issuer", "OIDC_ISSUER is missing or invalid")
        return
    try:
        asyncio.run(keys_of(context.settings).read())
    except FetchFailed as failure:
        yield Finding(
            "issuer.unreachable",
            "error",
            f"No access token can be verified: {failure}",
            "Correct OIDC_ISSUER, exactly as tokens have it in iss. Check the network and the certificate of the issuer.",
        )

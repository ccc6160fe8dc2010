"""Check of the issuer of access tokens."""

import asyncio

from app.forge.auth.oidc_fetch import FetchFailed, tls_context
from app.forge.auth.oidc_keys import IssuerKeys
from app.forge.doctor.findings import Context, Finding, NotChecked, Outcomes


def check_issuer(context: Context) -> Outcomes:
    """Yield a finding if the keys of the issuer cannot be fetched."""
    settings = context.settings
    if "oidc_issuer" in context.replaced:
        yield NotChecked("issuer", "OIDC_ISSUER is missing or invalid")
        return
    keys = IssuerKeys(
        settings.oidc_issuer,
        tls_context(),
        life_seconds=settings.oidc_keys_seconds,
        cooldown_seconds=settings.oidc_cooldown_seconds,
        timeout_seconds=settings.oidc_timeout_seconds,
    )
    try:
        asyncio.run(keys.read())
    except FetchFailed as failure:
        yield Finding(
            "issuer.unreachable",
            "error",
            f"No access token can be verified: {failure}",
            "Correct OIDC_ISSUER, exactly as tokens have it in iss. Check the network and the certificate of the issuer.",
        )

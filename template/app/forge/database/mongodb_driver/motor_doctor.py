"""Check of the driver, which is deprecated."""

from app.forge.doctor.findings import Context, Finding, Outcomes


def check_driver(_context: Context) -> Outcomes:
    """Yield the finding that Motor gets only critical fixes, and those until 2027-05-14."""
    yield Finding(
        "packages.abandoned",
        "warning",
        "motor was deprecated by its makers on 2026-05-14, and gets critical fixes until 2027-05-14.",
        "Replace it with PyMongo's AsyncMongoClient: fastforge update --set mongodb_driver=pymongo",
    )

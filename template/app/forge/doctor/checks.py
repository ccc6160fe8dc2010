"""The checks of a service with valid settings, in the order in which they run."""

from app.forge.database.sqlite_doctor import check_database
from app.forge.doctor.findings import Check
from app.forge.doctor.production import check_production
from app.forge.doctor.service import check_address, check_app

CHECKS: list[Check] = [
    check_production,
    check_address,
    check_app,
    check_database,
]

"""The doctor of a project beside its running service, and with certificates that Nginx cannot serve."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.faults.certificates import DAY, key_pair
from tests.faults.deployment import Deployment
from tests.faults.test_nginx import faulty

pytestmark = pytest.mark.depends("database", "deployment", once=("mongodb_driver", "cache"))


def test_nothing_is_found_beside_the_running_service(service: Deployment) -> None:
    service.running()
    assert service.findings() == {}


@pytest.mark.only(deployment={"nginx"})
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("missing key", "TLS_CERTIFICATE_KEY="),
        ("expired", "expired on"),
        ("not yet valid", "which is in the future"),
        ("other key", "is the key of another certificate"),
        ("encrypted key", "is encrypted"),
        ("no PEM", "cannot be served"),
    ],
)
def test_a_certificate_that_cannot_be_served_is_found(
    fault: str, words: str, deployment: Deployment, tmp_path: Path
) -> None:
    found = deployment.findings(**faulty(tmp_path, fault).settings)
    assert words in found["certificate.unusable"]


@pytest.mark.only(deployment={"nginx"})
def test_a_certificate_that_ends_soon_or_is_for_another_host_is_found(
    deployment: Deployment, tmp_path: Path
) -> None:
    pair = key_pair(tmp_path, ends=timedelta(days=3, hours=1))
    found = deployment.findings(**pair.settings, SERVER_NAMES="example.test,other.test")
    assert "expires in 3 days" in found["certificate.ends_soon"]
    assert "is not for other.test" in found["certificate.wrong_name"]


@pytest.mark.only(deployment={"nginx"})
def test_nothing_is_found_with_a_good_certificate(deployment: Deployment, tmp_path: Path) -> None:
    pair = key_pair(tmp_path, ends=90 * DAY)
    assert deployment.findings(**pair.settings, SERVER_NAMES="example.test") == {}

"""`python -m app.forge.doctor` with OpenID Connect: the issuer is found, or its fault."""

from tests.machinery.doctor import Patient
from tests.machinery.issuer import Issuer

AXES: tuple[str, ...] = ("auth",)


def test_an_issuer_with_keys_has_no_fault(patient: Patient) -> None:
    with Issuer().serving() as issuer:
        patient.variables["OIDC_ISSUER"] = issuer.url
        assert "issuer.unreachable" not in {each["check"] for each in patient.examine().document["findings"]}


def test_an_issuer_that_does_not_respond_is_found(patient: Patient) -> None:
    assert "could not be read" in patient.examine().problem("issuer.unreachable")


def test_an_issuer_with_another_name_is_found(patient: Patient) -> None:
    with Issuer().serving() as issuer:
        patient.variables["OIDC_ISSUER"] = f"{issuer.url}/"
        assert "of another issuer" in patient.examine().problem("issuer.unreachable")

"""Certificates for services under test: valid ones, and ones that no service should start with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

DAY = timedelta(days=1)


class KeyPair(NamedTuple):
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, object]:
        """The settings with which a service serves it."""
        return {"TLS_CERTIFICATE": self.certificate, "TLS_CERTIFICATE_KEY": self.key}


def key_pair(
    folder: Path, begins: timedelta = -DAY, ends: timedelta = 30 * DAY, password: bytes | None = None
) -> KeyPair:
    """Write a self-signed certificate for example.test, valid from `begins` to `ends` from now."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "example.test")])
    hosts = [x509.DNSName("example.test"), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    pair = KeyPair(folder / "certificate.pem", folder / "key.pem")
    encryption: KeySerializationEncryption
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return pair

"""The certificate of Nginx, checked before it starts and before it reloads: whether it exists, is valid and has its key."""

import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any, NamedTuple

# Dates are compared here, so that the message can name them. OpenSSL: X509_V_FLAG_NO_CHECK_TIME.
IGNORE_DATES = ssl.VerifyFlags(0x200000)
# Each side of a handshake speaks at most this often.
ROUNDS = 3


class CertificateFault(Exception):
    """The certificate cannot be served. The message has the reason and the next step."""


class Certificate(NamedTuple):
    """From when until when a certificate is valid, and for which hosts."""

    begins_at: float
    ends_at: float
    names: tuple[str, ...]

    def covers(self, name: str) -> bool:
        """Return True if a client that connects to this host accepts the certificate."""
        wildcard = f"*.{name.partition('.')[2]}"
        return name in self.names or wildcard in self.names


def check_certificate(certificate: Path, key: Path) -> Certificate:
    """Return what the certificate says, or raise `CertificateFault`."""
    _check_readable("TLS_CERTIFICATE", certificate)
    _check_readable("TLS_CERTIFICATE_KEY", key)
    found = _read(certificate, key)
    if found.ends_at <= time():
        raise CertificateFault(
            f"TLS_CERTIFICATE={certificate} expired on {_day(found.ends_at)}. Renew it, and start again."
        )
    if found.begins_at > time():
        raise CertificateFault(
            f"TLS_CERTIFICATE={certificate} is valid from {_day(found.begins_at)}, which is in the future. "
            f"Check the clock of this machine."
        )
    return found


def _check_readable(setting: str, path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except OSError as error:
        raise CertificateFault(
            f"{setting}={path} cannot be read ({error.strerror}). Set it to a PEM file that the user of this "
            f"service may read."
        ) from None


def _read(certificate: Path, key: Path) -> Certificate:
    """Let a client that trusts only this certificate shake hands with a server that has it, in memory."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        server.load_cert_chain(certificate, key, password=_refuse_password)
        client.check_hostname = False
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | IGNORE_DATES
        client.load_verify_locations(certificate)
        shown = _shown(server, client)
    except CertificateFault as fault:
        raise CertificateFault(f"TLS_CERTIFICATE_KEY={key} {fault}") from None
    except ssl.SSLError as error:
        raise CertificateFault(_explained(certificate, key, error)) from None
    begins_at, ends_at = (ssl.cert_time_to_seconds(shown[name]) for name in ("notBefore", "notAfter"))
    return Certificate(begins_at, ends_at, tuple(name.lower() for _, name in shown["subjectAltName"]))


def _shown(server_context: ssl.SSLContext, client_context: ssl.SSLContext) -> dict[str, Any]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server) * ROUNDS:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return {"subjectAltName": (), **(client.getpeercert() or {})}


def _refuse_password() -> str:
    raise CertificateFault(
        "is encrypted, and Nginx cannot ask for its password. Decrypt it: openssl pkey -in … -out …"
    )


def _explained(certificate: Path, key: Path, error: ssl.SSLError) -> str:
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
        return (
            f"TLS_CERTIFICATE_KEY={key} is the key of another certificate than TLS_CERTIFICATE={certificate}. "
            f"Set both to files that were issued together."
        )
    return (
        f"TLS_CERTIFICATE={certificate} and TLS_CERTIFICATE_KEY={key} cannot be served ({error.reason or error}). "
        f"Set them to PEM files: the certificate followed by its chain, and its key."
    )


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()

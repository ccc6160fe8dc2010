"""Settings of Nginx."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, NonNegativeInt

from app.forge.environment import Contradiction
from app.forge.server.settings import Networks, ServerSettings, listed

HOST_NAME = re.compile(
    r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\]"
)


def _only_host_names(value: str) -> str:
    names = listed(value.lower())
    for position, name in enumerate(names, 1):
        if not HOST_NAME.fullmatch(name):
            raise ValueError(f"entry {position} is not a host name such as api.example.com or *.example.com")
    return ",".join(names)


# An empty variable is one that is not set, as in `TLS_CERTIFICATE=` of a compose file.
OptionalPath = Annotated[Path | None, BeforeValidator(lambda value: value or None)]
OptionalPort = Annotated[
    Annotated[int, Field(ge=1, le=65_535)] | None, BeforeValidator(lambda value: value or None)
]


class NginxSettings(ServerSettings):
    """Nginx's path, TLS, the hosts it serves, and its limits."""

    nginx_path: str = "nginx"
    # With both, Nginx serves HTTPS and HTTP/2 on PORT: PEM files, the certificate followed by its chain.
    tls_certificate: OptionalPath = None
    tls_certificate_key: OptionalPath = None
    # Redirects plain HTTP on this port to HTTPS.
    http_port: OptionalPort = None
    # For how long browsers use HTTPS only; 0 makes them forget it.
    hsts_seconds: NonNegativeInt = 63_072_000
    # The hosts that the service is for; a request for another one gets 421. Empty: any host.
    server_names: Annotated[str, AfterValidator(_only_host_names)] = ""
    # The clients that may read /metrics and the API documentation: addresses and networks, or "*".
    internal_networks: Networks = "127.0.0.1,::1"
    # Requests per second of each client, how many of them may come at once, and its connections. 0: unlimited.
    rate_limit_per_second: NonNegativeInt = 0
    rate_limit_burst: NonNegativeInt = 20
    connection_limit: NonNegativeInt = 0
    # For how long Nginx itself answers with a response whose `max-age` allows it; 0 disables.
    micro_cache_seconds: NonNegativeInt = 0

    def contradictions(self) -> Iterator[Contradiction]:
        """Yield half of a certificate, a redirect to nothing, and a port that is used twice."""
        yield from super().contradictions()
        pair = ("tls_certificate", "tls_certificate_key")
        if (self.tls_certificate is None) != (self.tls_certificate_key is None):
            yield Contradiction(pair, "set both TLS_CERTIFICATE and TLS_CERTIFICATE_KEY, or neither")
        if self.http_port is not None and self.tls_certificate is None:
            yield Contradiction(
                ("http_port", pair[0]), "HTTP_PORT redirects to HTTPS, so it also needs TLS_CERTIFICATE"
            )
        if self.http_port == self.port:
            yield Contradiction(("http_port", "port"), "set different ports; PORT serves HTTPS")

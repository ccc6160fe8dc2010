"""Settings of every deployment."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field

from app.forge.environment import Environment
from app.forge.server.sizing import usable_cpus


def _only_networks(value: str) -> str:
    # Uvicorn would silently treat a mistyped network as a host name and trust no proxy.
    networks = [network.strip() for network in value.split(",") if network.strip()]
    for network in networks:
        if network != "*":
            ip_network(network)
    if "*" in networks and len(networks) > 1:
        raise ValueError('"*" stands for every address, so it must be the only entry')
    return ",".join(networks)


Networks = Annotated[str, AfterValidator(_only_networks)]


class ServerSettings(Environment):
    """The address, the number of workers, timeouts and trusted proxies."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65_535)
    # One per CPU. More workers would only compete for CPU time.
    workers: int = Field(default_factory=usable_cpus, ge=1)
    # How long shutdown waits for running requests.
    graceful_timeout_seconds: int = Field(30, ge=1)
    # How long an idle connection stays open. Keep it longer than the idle timeout of a load balancer (AWS: 60 s),
    # which would otherwise send requests on connections that are just closing, and respond with 502.
    keep_alive_seconds: int = Field(75, ge=1)
    # The proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted: addresses and networks, or "*".
    forwarded_allow_ips: Networks = "127.0.0.1,::1"

"""What every deployment can be told."""

from ipaddress import ip_network

from pydantic import Field, field_validator

from app.forge.environment import Environment
from app.forge.server.sizing import usable_cpus


class ServerSettings(Environment):
    """Where the service listens, with how many workers, and how patient it is."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65_535)
    # One per CPU: the workers never wait for one another, more of them only wait for the CPU.
    workers: int = Field(default_factory=usable_cpus, ge=1)
    # How long a stop waits for requests that are being answered.
    graceful_timeout_seconds: int = Field(30, ge=1)
    # How long an idle connection stays open. Longer than a load balancer's own idle timeout (AWS: 60 s), which
    # would otherwise send requests into connections that are just being closed, and answer 502.
    keep_alive_seconds: int = Field(75, ge=1)
    # The proxies whose X-Forwarded-For and X-Forwarded-Proto are believed: addresses and networks, or "*".
    forwarded_allow_ips: str = "127.0.0.1,::1"

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _only_addresses(cls, value: str) -> str:
        # Uvicorn takes a network with a typing error for a host name and trusts nobody, without a word.
        proxies = [proxy.strip() for proxy in value.split(",") if proxy.strip()]
        for proxy in proxies:
            if proxy != "*":
                ip_network(proxy)
        if "*" in proxies and len(proxies) > 1:
            raise ValueError('"*" trusts everyone, so it stands alone')
        return ",".join(proxies)

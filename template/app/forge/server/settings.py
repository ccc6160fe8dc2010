"""Settings of every deployment."""

from ipaddress import ip_network

from pydantic import Field, field_validator

from app.forge.environment import Environment
from app.forge.server.sizing import usable_cpus


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
    forwarded_allow_ips: str = "127.0.0.1,::1"

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _only_addresses(cls, value: str) -> str:
        # Uvicorn would silently treat a mistyped network as a host name and trust no proxy.
        proxies = [proxy.strip() for proxy in value.split(",") if proxy.strip()]
        for proxy in proxies:
            if proxy != "*":
                ip_network(proxy)
        if "*" in proxies and len(proxies) > 1:
            raise ValueError('"*" trusts every proxy, so it must be the only entry')
        return ",".join(proxies)

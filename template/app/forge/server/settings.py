"""Settings of every deployment, the default number of workers, and the share of each in a limited resource."""

import math
import os
from ipaddress import ip_network
from pathlib import Path
from socket import getaddrinfo
from typing import Annotated

from pydantic import AfterValidator, Field

from app.forge.environment import Environment

CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")
CGROUP_MOUNT = Path("/sys/fs/cgroup")


class TooManyWorkers(ValueError):
    """There are more workers than units to share."""


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use, at least 1.

    This is the smaller of the CPU affinity and the container's limit. A limit of 1.5 CPUs counts as 2, as in Go and
    the JVM: https://go.dev/blog/container-aware-gomaxprocs.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup_cpu_limit(CGROUP_MEMBERSHIP, CGROUP_MOUNT)
    return max(1, math.ceil(min(available, limit)))


def cgroup_cpu_limit(membership: Path, mount: Path) -> float:
    """Return the CPU limit of this process's control groups, infinite without a limit.

    `membership` has the format of /proc/self/cgroup, and `mount` the layout of /sys/fs/cgroup. Both versions are
    supported, and parent groups count too: https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files and
    https://docs.kernel.org/scheduler/sched-bwc.html.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return math.inf
    limits = [math.inf]
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == "":
            limits += [_limit_v2(folder) for folder in _with_parents(mount, group)]
        elif "cpu" in controllers.split(","):
            limits += [_limit_v1(folder) for folder in _with_parents(mount / "cpu", group)]
    return min(limits)


def _with_parents(mount: Path, group: str) -> list[Path]:
    # In a container the path may be that of the host. Then it does not exist under the mount, and the root applies.
    parts = [part for part in group.split("/") if part not in ("", "..")]
    return [mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]


def _limit_v2(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except OSError:
        return math.inf
    return math.inf if quota == "max" else int(quota) / int(period)


def _limit_v1(folder: Path) -> float:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except OSError:
        return math.inf
    return quota / period if quota > 0 else math.inf


def share(total: int, workers: int, at_most: int) -> int:
    """Return each worker's share of `total` connections, at most `at_most`.

    Raises `TooManyWorkers` if there is less than one for each.
    """
    each = min(total // workers, at_most)
    if each < 1:
        raise TooManyWorkers(
            f"{workers} workers cannot share {total} connections: lower WORKERS to at most {max(total, 1)}, "
            f"or allow at least {workers} connections."
        )
    return each


def host_fault(host: str) -> str | None:
    """Return why the service cannot listen on this host, or None."""
    try:
        getaddrinfo(host, None)
    except OSError as error:
        return (
            f"HOST={host} is not an address of this machine ({error}). conda sets HOST to the name of its compiler's "
            f"target: unset it, or set HOST=127.0.0.1."
        )
    return None


def listed(value: str) -> list[str]:
    """Return the entries of a setting that separates them by commas."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def _only_networks(value: str) -> str:
    # Uvicorn would silently treat a mistyped network as a host name and trust no proxy.
    networks = listed(value)
    for position, network in enumerate(networks, 1):
        if network != "*" and not _is_network(network):
            raise ValueError(
                f"entry {position} is not an address or a network such as 10.0.0.0/8, whose host bits must be 0"
            )
    if "*" in networks and len(networks) > 1:
        raise ValueError('"*" stands for every address, so it must be the only entry')
    return ",".join(networks)


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


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

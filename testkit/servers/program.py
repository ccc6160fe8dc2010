"""The executables of servers, on this system or in the pinned wheels."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from testkit.servers.errors import NotUsable, ServerUnavailable
from testkit.servers.privileges import is_reachable
from testkit.servers.wheels import wheel_environment

SOURCES = ("environment", "system", "wheels")


@dataclass(frozen=True)
class Binary:
    """An executable and a description of its origin."""

    path: Path
    origin: str


@dataclass(frozen=True)
class Program:
    """The names of a server, here and on a system, and how to install it."""

    title: str
    variable: str
    executables: tuple[str, ...]
    wheel: str
    path_in_wheels: str
    remedy: str
    system_folders: tuple[str, ...] = ()
    companions: tuple[str, ...] = ()
    version_flag: str = "--version"

    def find(self, sources: tuple[str, ...] = SOURCES) -> Binary:
        """Return the executable from the first source that has a usable one, or raise `ServerUnavailable`."""
        tried = [f"{self.variable} is not set"] if "environment" in sources else []
        finders = {"system": self._on_this_system, "wheels": self._in_wheels}
        for find in (finders[source] for source in sources if source in finders):
            try:
                return find()
            except NotUsable as reason:
                tried.append(str(reason))
        raise ServerUnavailable(self.title, tried, self.remedy)

    def _on_this_system(self) -> Binary:
        reasons = []
        for path in self._candidates():
            try:
                self._check(path)
            except NotUsable as reason:
                reasons.append(str(reason))
            else:
                return Binary(path, str(path))
        raise NotUsable(
            "; ".join(reasons) or f"no {' or '.join(self.executables)} on PATH or in the usual folders"
        )

    def _candidates(self) -> Iterator[Path]:
        for name in self.executables:
            if found := shutil.which(name):
                yield Path(found).resolve()
            for pattern in self.system_folders:
                found_there = (folder / name for folder in Path("/").glob(pattern))
                yield from sorted((path for path in found_there if path.exists()), reverse=True)

    def _in_wheels(self) -> Binary:
        path = next(wheel_environment().glob(self.path_in_wheels), None)
        if path is None:
            raise NotUsable(f"the wheel {self.wheel} has nothing for this platform at {self.path_in_wheels}")
        return Binary(path, f"wheel {self.wheel}")

    def _check(self, path: Path) -> None:
        """Raise `NotUsable` unless `path` runs and has its companions beside it."""
        missing = [name for name in self.companions if not (path.parent / name).exists()]
        if missing:
            raise NotUsable(f"{path} has no {', '.join(missing)} beside it")
        if not is_reachable(path):
            raise NotUsable(f"{path} is in a folder that the servers' user may not enter")
        try:
            subprocess.run([path, self.version_flag], check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError) as failure:
            raise NotUsable(f"{path} does not run: {failure}") from failure

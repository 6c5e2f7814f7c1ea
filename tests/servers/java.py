"""Finding a Java that a server version runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Java:
    """An installed Java: its home folder and its feature version (17, 21, 25)."""

    home: Path
    version: int


def _homes() -> Iterator[Path]:
    for name in ("ES_JAVA_HOME", "JAVA_HOME"):
        if os.environ.get(name):
            yield Path(os.environ[name])
    for pattern in ("/usr/lib/jvm/*", "/opt/*jdk*", "/opt/java/*", "/Library/Java/JavaVirtualMachines/*/Contents/Home"):
        yield from sorted(Path("/").glob(pattern[1:]))
    program = shutil.which("java")
    if program:
        yield Path(program).resolve().parent.parent


def _version(home: Path) -> int | None:
    """The feature version; none where there is no Java that runs."""
    program = home / "bin" / "java"
    if not program.is_file():
        return None
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found[1]) if found else None


@cache
def installed() -> tuple[Java, ...]:
    """Every Java on this machine, each once."""
    found: dict[Path, Java] = {}
    for home in _homes():
        real = home.resolve()
        if real not in found:
            version = _version(real)
            if version is not None:
                found[real] = Java(real, version)
    return tuple(found.values())


def choose(oldest: int, newest: int) -> Java | None:
    """The oldest Java within the versions, since a server is tested most on the one it was made for."""
    return min(
        (java for java in installed() if oldest <= java.version <= newest), key=lambda j: j.version, default=None
    )

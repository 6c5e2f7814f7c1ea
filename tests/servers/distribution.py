"""The server's files: fetched once through Maven into a cache folder, unpacked where a run needs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tests.servers.java import Java, choose

COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{}:zip"


class ServersMissingError(Exception):
    """This machine cannot run a server; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Release:
    """A published server version and the Java feature versions that it runs on."""

    version: str
    oldest_java: int
    newest_java: int

    @property
    def java(self) -> Java:
        """The Java to start it with."""
        java = choose(self.oldest_java, self.newest_java)
        if java is None:
            raise ServersMissingError(
                f"Elasticsearch {self.version} needs Java {self.oldest_java} to {self.newest_java}: "
                "install one or set ES_JAVA_HOME"
            )
        return java


NEWEST = Release("9.4.3", 21, 26)
OLDEST = Release("8.19.16", 17, 24)


def cache_folder() -> Path:
    """Where what was downloaded is kept; git ignores it."""
    given = os.environ.get("PY_IMAGE_DEDUP_CACHE")
    return Path(given) if given else Path(__file__).resolve().parents[2] / ".cache"


def fetch(release: Release) -> Path:
    """The zip of a release, downloaded if it is not here."""
    folder = cache_folder() / "elasticsearch"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"elasticsearch-{release.version}.zip"
    with FileLock(f"{archive}.lock"):
        if archive.is_file():
            return archive
        if shutil.which("mvn") is None:
            raise ServersMissingError(f"Elasticsearch {release.version} is fetched with Maven: install maven")
        arriving = folder / f"arriving-{release.version}"
        coordinates = f"-Dartifact={ARTIFACT.format(release.version)}"
        answer = subprocess.run(
            ["mvn", "-q", "-B", COPY_GOAL, coordinates, f"-DoutputDirectory={arriving}"],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if answer.returncode:
            raise ServersMissingError(
                f"Maven could not fetch Elasticsearch {release.version}:\n{answer.stdout[-2000:]}"
            )
        (arriving / archive.name).replace(archive)  # whole or not at all
        arriving.rmdir()
    return archive


def unpack(release: Release, folder: Path) -> Path:
    """The files of a release below ``folder``, readable by every user; unpacked if they are not there."""
    home = folder / f"elasticsearch-{release.version}"
    with FileLock(f"{home}.lock"):
        if home.is_dir():
            return home
        arriving = folder / f"arriving-{release.version}"
        with zipfile.ZipFile(fetch(release)) as archive:
            archive.extractall(arriving)
        for place in arriving.rglob("*"):  # the servers run as another user
            place.chmod(0o755 if place.is_dir() or place.parent.name == "bin" else 0o644)
        (arriving / home.name).replace(home)
        arriving.rmdir()
    return home

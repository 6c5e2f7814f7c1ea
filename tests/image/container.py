"""Builds the project's own Dockerfile and runs it without a container engine or a registry.

buildah with chroot isolation needs no kernel features beyond root; a Debian bootstrapped with debootstrap stands in for
the base image under the name that the Dockerfile asks for.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BASE = "docker.io/library/python:3.11-slim-bookworm"
IMAGE = "localhost/py-image-dedup-test"
TOOLS = ("buildah", "debootstrap", "crun")
ENVIRONMENT = os.environ | {"STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}


def missing() -> str | None:
    """Why images cannot be built here, or ``None``."""
    if os.geteuid() != 0:
        return "building the image needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"building the image needs {', '.join(absent)} (Debian packages)" if absent else None


def run(*command: str, cwd: Path = PROJECT, seconds: float = 600) -> str:
    """Run a command to its end and return what it printed; what went wrong is in the error."""
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_base(cache: Path) -> None:
    """Make the stand-in for the base image, once a machine."""
    if subprocess.run(["buildah", "inspect", BASE], env=ENVIRONMENT, capture_output=True, check=False).returncode == 0:
        return
    root = cache / "root"
    if not (cache / "complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        run(
            "debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates", "bookworm", str(root),
            seconds=900,
        )  # fmt: skip
        (cache / "complete").touch()
    (cache / "Basefile").write_text("FROM scratch\nCOPY root/ /\n")
    run("buildah", "bud", "--layers=false", "-f", "Basefile", "-t", BASE, ".", cwd=cache)


def build_image() -> None:
    """Build the Dockerfile as it is; a machine's own certificates are lent to pip and do not stay in the image."""
    options = []
    bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    if bundle:
        options = ["-v", f"{Path(bundle).parent}:{Path(bundle).parent}:ro", "--build-arg", f"PIP_CERT={bundle}"]
    run("buildah", "bud", "--pull-never", "--format", "docker", *options, "-t", IMAGE, ".", seconds=900)


@dataclass
class Container:
    """A container made of the image; ``start`` runs the image's own entry point in it."""

    environment: dict[str, str]
    volumes: dict[Path, str]
    name: str = ""
    log: Path = Path("/dev/null")
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.name = run("buildah", "from", "--pull-never", IMAGE).strip()
        # buildah 1.28 mounts an image's own volumes over the folders that are lent to it, by chance; engines do not.
        for inside in self.volumes.values():
            run("buildah", "config", "--volume", f"{inside}-", self.name)

    def command(self, *arguments: str) -> list[str]:
        """What runs this image's entry point, which ``buildah run`` does not apply by itself."""
        options = [part for key, value in self.environment.items() for part in ("-e", f"{key}={value}")]
        options += [part for host, inside in self.volumes.items() for part in ("-v", f"{host}:{inside}")]
        entry = ["/opt/venv/bin/dumb-init", "--", "/opt/py-image-dedup/entrypoint.sh"]
        return ["buildah", "run", *options, self.name, "--", *entry, *arguments]

    def start(self, *arguments: str) -> None:
        """Start the entry point in the background; its output goes to ``log``."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(*arguments), env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def init_pid(self) -> int:
        """The process id, outside, of the container's first process."""
        assert self.process is not None
        for _ in range(200):
            for pid in _descendants(self.process.pid):
                if _command(pid).startswith(b"/opt/venv/bin/dumb-init"):
                    return pid
            time.sleep(0.05)
        raise AssertionError(f"the container did not start: {self.log.read_text(errors='replace')}")

    def stop(self, seconds: float) -> int:
        """Ask the container to end, as ``docker stop`` does, and return its exit code."""
        assert self.process is not None
        os.kill(self.init_pid(), signal.SIGTERM)
        return self.process.wait(seconds)

    def remove(self) -> None:
        """Take everything away."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
        run("buildah", "rm", self.name)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    # Any thread may have started a child, and is the one that lists it.
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            own = [int(child) for child in children.read_text().split()]
        except OSError:  # the thread has ended
            continue
        for child in own:
            found += [child, *_descendants(child)]
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""

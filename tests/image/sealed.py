"""The image run as the compose file asks for it: by crun, with a root that cannot be written to.

Containers of ``container.py`` have a writable root, because buildah cannot lend a read-only one. crun is what engines
run containers with: it gets the image's own entry point and environment, and from the compose file what may be written.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.image.container import ENVIRONMENT, IMAGE, PROJECT, run

_HYBRID = Path("/sys/fs/cgroup/unified")


def composed(service: str) -> dict[str, Any]:
    """Return what the compose file says of a service."""
    text = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
    found: dict[str, Any] = YAML(typ="safe").load(text)["services"][service]
    return found


class SealedContainer:
    """A container of the image with a read-only root; ``remove`` takes everything away.

    Args:
        folder: Where its description and its log are kept.
        environment: Beside the image's own.
        volumes: Folders of this machine, and where they are lent to.
    """

    def __init__(self, folder: Path, environment: dict[str, str], volumes: dict[Path, str]) -> None:
        self.log = folder / "sealed.log"
        self._bundle = folder / "bundle"
        self._bundle.mkdir()
        self.image = json.loads(run("buildah", "inspect", "--type", "image", IMAGE))["Docker"]["config"]
        self._buildah = run("buildah", "from", "--pull-never", IMAGE).strip()
        self._name = f"{self._buildah}-{os.getpid()}"
        self.root = Path(run("buildah", "mount", self._buildah).strip())
        self._environment = {**dict(pair.split("=", 1) for pair in self.image["Env"]), **environment}
        self._volumes = volumes
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the image's entry point with its own command; its output goes to ``log``."""
        run("crun", "spec", cwd=self._bundle)
        described = self._bundle / "config.json"
        described.write_text(json.dumps(self._describe(json.loads(described.read_text()))))
        command = ["crun", "--cgroup-manager=disabled", "run", "--bundle", str(self._bundle), self._name]
        if _HYBRID.is_dir():
            # crun refuses systems with cgroups of both kinds; in a mount namespace of its own it sees those of one.
            command = ["unshare", "--mount", "sh", "-c", f"umount {_HYBRID} && exec {shlex.join(command)}"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, env=ENVIRONMENT, stdout=log, stderr=subprocess.STDOUT)

    def words(self) -> str:
        """What it has said."""
        return self.log.read_text(errors="replace")

    def inside(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run another command in the running container, as ``docker exec`` does."""
        return subprocess.run(
            ["crun", "--cgroup-manager=disabled", "exec", self._name, *command],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def stop(self, seconds: float) -> int:
        """Ask it to end, as ``docker stop`` does, and return its exit code."""
        assert self._process is not None
        run("crun", "kill", self._name, "TERM")
        return self._process.wait(seconds)

    def remove(self) -> None:
        """Take everything away."""
        if self._process is not None and self._process.poll() is None:
            subprocess.run(["crun", "kill", self._name, "KILL"], capture_output=True, check=False)
            self._process.wait(30)
        run("buildah", "rm", self._buildah)
        shutil.rmtree(self._bundle)

    def _describe(self, spec: dict[str, Any]) -> dict[str, Any]:
        service = composed("py-image-dedup")
        assert service["cap_drop"] == ["ALL"]
        rights = [f"CAP_{name}" for name in service["cap_add"]]
        spec["root"] = {"path": str(self.root), "readonly": service["read_only"]}
        spec["process"] |= {
            "terminal": False,
            "args": [*self.image["Entrypoint"], *self.image["Cmd"]],
            "env": [f"{key}={value}" for key, value in self._environment.items()],
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), rights),
            "noNewPrivileges": "no-new-privileges:true" in service["security_opt"],
        }
        # The machine's own network, so that the pages are reached on loopback, and no control of its groups.
        kept = [space for space in spec["linux"]["namespaces"] if space["type"] not in {"network", "cgroup"}]
        spec["linux"] = {"namespaces": kept, "maskedPaths": spec["linux"].get("maskedPaths", [])}
        mounts = [mount for mount in spec["mounts"] if not mount["destination"].startswith("/sys")]
        mounts += [
            {"destination": inside, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]}
            for inside in service["tmpfs"]
        ]
        mounts += [
            {"destination": inside, "type": "none", "source": str(outside), "options": ["rbind", "rw"]}
            for outside, inside in self._volumes.items()
        ]
        spec["mounts"] = mounts
        return spec

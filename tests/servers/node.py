"""One running server: started as a user without rights, stopped by its process id."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.servers.distribution import Release, unpack

NOT_INDEXED = 65534
"""Elasticsearch refuses to run as root; this user owns nothing and exists everywhere."""

START_SECONDS = 240.0


def free_port() -> int:
    """A port of loopback that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Node:
    """A server's place: everything another process needs to use, stop or restart it.

    Attributes:
        folder: Its configuration, data and logs.
        home: The unpacked distribution.
        java_home: The Java it runs on.
        port: Of HTTP.
        heap: Megabytes.
        scheme: ``https`` if it was given certificates.
        authorization: Value of the header that the readiness check sends.
    """

    folder: Path
    home: Path
    java_home: Path
    port: int
    heap: int = 512
    scheme: str = "http"
    authorization: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        try:
            pid = int((self.folder / "pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def start(self, *, to_last: bool = False) -> None:
        """Start it and wait until it answers.

        Args:
            to_last: Compile as a server in earnest does. Otherwise it starts with half the work and is slower later.
        """
        compiler = "" if to_last else " -XX:TieredStopAtLevel=1"
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ES_", "JAVA_"))}
        environment |= {
            "ES_JAVA_HOME": str(self.java_home),
            "ES_PATH_CONF": str(self.folder / "config"),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_OPTS": f"-Xms{self.heap}m -Xmx{self.heap}m{compiler}",
            "CLI_JAVA_OPTS": "-Xmx64m -XX:TieredStopAtLevel=1",
            "HOME": str(self.folder),
        }
        rights = {"user": NOT_INDEXED, "group": NOT_INDEXED, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self.folder / "output").open("ab") as output:
            launcher = subprocess.Popen(
                [self.home / "bin" / "elasticsearch", "-p", self.folder / "pid"],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **rights,  # type: ignore[arg-type]
            )
        self._wait_until_ready(launcher)
        # The launcher ends with the server; a thread-less way not to leave a zombie or a ResourceWarning behind.
        launcher.returncode = 0

    def _wait_until_ready(self, launcher: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if launcher.poll() is not None:
                raise RuntimeError(f"the server in {self.folder} ended at once:\n{self.tail()}")
            if self.answers("/_cluster/health?wait_for_status=yellow&timeout=5s"):
                return
            time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"the server in {self.folder} was not ready in {START_SECONDS:.0f} s:\n{self.tail()}")

    def answers(self, path: str) -> bool:
        """Whether a GET succeeds."""
        request = urllib.request.Request(self.url + path)  # noqa: S310 - our own server
        if self.authorization:
            request.add_header("Authorization", self.authorization)
        unverified = ssl.create_default_context()
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        try:
            with urllib.request.urlopen(request, timeout=10, context=unverified):  # noqa: S310 - our own server
                return True
        except (OSError, urllib.error.URLError):
            return False

    def tail(self) -> str:
        """The end of what it printed."""
        return (self.folder / "output").read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """Stop it in order; return when it is gone."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections are accepted and nothing answers."""
        os.kill(self.pid or 0, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after ``pause``."""
        os.kill(self.pid or 0, signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        pid = self.pid
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, how)
        deadline = time.monotonic() + 30
        while _lives(pid):
            if time.monotonic() > deadline:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        (self.folder / "pid").unlink(missing_ok=True)

    def save(self, path: Path) -> None:
        """Write it down for the other processes of the session."""
        path.write_text(json.dumps({name: str(value) for name, value in asdict(self).items()}))

    @classmethod
    def load(cls, path: Path) -> Node:
        """Read what ``save`` wrote."""
        values = json.loads(path.read_text())
        paths = {name: Path(values.pop(name)) for name in ("folder", "home", "java_home")}
        numbers = {name: int(values.pop(name)) for name in ("port", "heap")}
        return cls(**paths, **numbers, **values)


def _lives(pid: int) -> bool:
    """Whether a process is there and is more than an entry in the table of its parent."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:
        return True


def prepare(
    release: Release,
    session: Path,
    name: str,
    settings: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    *,
    scheme: str = "http",
    authorization: str = "",
) -> Node:
    """Make a server's folder below the session's; it is not started yet.

    Args:
        release: Which version.
        session: Folder of the test session.
        name: Of the server's folder.
        settings: Added to ``elasticsearch.yml``; they win.
        files: Added to the configuration folder.
        scheme: ``https`` if the settings turn TLS on.
        authorization: A user may be needed for the readiness check.
    """
    home = unpack(release, session)
    folder = session / name
    for part in ("config", "data", "logs", "tmp"):
        (folder / part).mkdir(parents=True)
    shutil.copytree(home / "config", folder / "config", dirs_exist_ok=True)
    port = free_port()
    values = {
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": str(port),
        "transport.port": str(free_port()),
        "path.data": str(folder / "data"),
        "path.logs": str(folder / "logs"),
        "xpack.security.enabled": "false",
        "cluster.routing.allocation.disk.threshold_enabled": "false",
        **(settings or {}),
    }
    lines = [f"{key}: {json.dumps(value)}\n" for key, value in values.items() if value]
    (folder / "config" / "elasticsearch.yml").write_text("".join(lines))
    for file, content in (files or {}).items():
        (folder / "config" / file).write_bytes(content)
    (folder / "output").touch()
    if os.geteuid() == 0:
        for place in (folder, *folder.rglob("*")):
            os.chown(place, NOT_INDEXED, NOT_INDEXED)
    return Node(folder, home, release.java.home, port, scheme=scheme, authorization=authorization)


def stop_all(session: Path) -> None:
    """Stop every server below a session's folder, then remove the folder."""
    for pid_file in session.glob("*/pid"):
        folder = pid_file.parent
        Node(folder, session, session, 0).stop()
    shutil.rmtree(session, ignore_errors=True)


def main() -> None:
    """Start a server by hand and keep it until Enter is pressed: ``python -m tests.servers.node [8|9]``."""
    import tempfile

    from tests.servers.distribution import NEWEST, OLDEST

    session = Path(tempfile.mkdtemp(prefix="elasticsearch-"))
    session.chmod(0o755)
    node = prepare(OLDEST if sys.argv[1:] == ["8"] else NEWEST, session, "by-hand")
    try:
        node.start()
        sys.stdout.write(f"{node.url}\n")
        sys.stdout.flush()
        sys.stdin.readline()
    finally:
        stop_all(session)


if __name__ == "__main__":
    main()

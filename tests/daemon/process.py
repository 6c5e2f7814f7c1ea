"""A real daemon process on a temporary library."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

from py_image_dedup.api import INDEX_NAME
from py_image_dedup.store.sqlite.store import SqliteStore

QUIET_SECONDS = 1


class DaemonProcess:
    """Starts, asks, signals and stops ``py-image-dedup daemon``.

    The library is ``photos`` in the folder, duplicates go to ``out``, and the state is kept in ``state``.
    """

    def __init__(self, folder: Path, **settings: object) -> None:
        self.photos = folder / "photos"
        self.out = folder / "out"
        self.state = folder / "state"
        self.photos.mkdir(exist_ok=True)
        self.out.mkdir(exist_ok=True)
        self.config = folder / "py_image_dedup.yaml"
        self.log = folder / "log"
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = int(listener.getsockname()[1])
        self.settings: dict[str, object] = {
            "dry_run": False,
            "state_directory": str(self.state),
            "analysis": {"source_directories": [str(self.photos)], "threads": 2},
            "deduplication": {"duplicates_target_directory": str(self.out)},
            "daemon": {"processing_timeout": f"{QUIET_SECONDS}s"},
            "stats": {"port": self.port, "address": "127.0.0.1"},
        }
        self.configure(**settings)
        self.process: subprocess.Popen[bytes] | None = None

    def configure(self, **settings: object) -> None:
        """Write the configuration; groups of settings are merged."""
        for key, value in settings.items():
            old = self.settings.get(key)
            self.settings[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        with self.config.open("w", encoding="utf-8") as file:
            YAML(typ="safe").dump({"py_image_dedup": self.settings}, file)

    def start(self) -> None:
        """Start it and wait until it is ready: watching, and its first full run done."""
        self.start_only()
        self.until(self.is_ready)

    def start_only(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._program, "daemon"], stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command with its configuration."""
        command = [*self._program, *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    @property
    def _program(self) -> list[str]:
        return [sys.executable, "-m", "py_image_dedup", "--config", str(self.config)]

    @property
    def _environment(self) -> dict[str, str]:
        return {key: value for key, value in os.environ.items() if not key.startswith("PY_IMAGE_DEDUP_")}

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """End it as a service manager does; return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(15)

    def kill(self) -> None:
        """End it as a power cut does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(15)

    def close(self) -> None:
        """End it if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def page(self, path: str) -> tuple[int, str]:
        """Get a page of its metrics server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """Return the value of one sample of the metrics page."""
        for line in self.page("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        raise KeyError(name)

    def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        assert self.process is not None
        assert self.process.poll() is None, self.words()
        with contextlib.suppress(OSError):
            return self.page("/readyz")[0] == 200
        return False

    def is_quiet(self) -> bool:
        """Whether nothing waits."""
        return self.metric("py_image_dedup_queue_paths") == 0

    def words(self) -> str:
        """What it has logged."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def until(self, fact: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait for something; the log is in the error if it does not come."""
        end = time.monotonic() + seconds
        while not fact():
            assert time.monotonic() < end, f"it did not happen in time\n{self.words()[-5000:]}"
            time.sleep(0.1)

    def indexed(self) -> set[Path]:
        """The files that the index knows, below the library."""
        with SqliteStore(self.state / INDEX_NAME) as store:
            return {entry.stat.path.relative_to(self.photos) for entry in store.entries([self.photos])}

    def moved(self) -> set[str]:
        """The names of the files that were moved away."""
        return {path.name for path in self.out.rglob("*") if path.is_file()}

"""The program as a process, inside this one, and at a terminal; and small libraries for it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from py_image_dedup.cli.main import run
from py_image_dedup.removal.quarantine import MANIFEST_NAME
from tests.support.pictures import picture, write


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    out: str
    err: str


def environment(home: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment without anything that would change what the program does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PY_IMAGE_DEDUP_")}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        kept.pop(name, None)
    kept |= {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONWARNINGS": "error"}
    return kept | dict(changes or {})


@dataclass(frozen=True, slots=True)
class Program:
    """The program with a home and a state directory of its own.

    Attributes:
        home: Where it is started.
    """

    home: Path

    @property
    def state(self) -> Path:
        """The state directory that it finds without being told."""
        return self.home / "state" / "py-image-dedup"

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line of the process."""
        return [sys.executable, "-m", "py_image_dedup", *map(os.fspath, arguments)]

    def call(self, *arguments: str | Path, **changes: str) -> Ended:
        """Run inside this process, with nobody to ask: quicker, and the same but for the interpreter's own doings."""
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with (
            chdir(self.home),
            patch.dict(os.environ, environment(self.home, changes), clear=True),
            patch("sys.stdin", io.StringIO()),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = run([os.fspath(argument) for argument in arguments])
        return Ended(int(code), *(each.buffer.getvalue().decode("utf-8") for each in (out, err)))  # type: ignore[attr-defined]

    def run(self, *arguments: str | Path, **changes: str) -> Ended:
        """Run to the end, with nobody to ask."""
        ended = subprocess.run(
            self.command(*arguments),
            cwd=self.home,
            env=environment(self.home, changes),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout.decode("utf-8", "surrogateescape"), ended.stderr.decode())


def make_library(folder: Path) -> Path:
    """Six files: a photo with an identical copy and a smaller one, another photo, a broken file, and a text."""
    beach = write(folder / "2019" / "beach.jpg", picture(1, 640, 480))
    copy = folder / "copies" / "beach copy.jpg"
    copy.parent.mkdir(parents=True)
    shutil.copy2(beach, copy)
    write(folder / "sent" / "small.jpg", picture(1, 640, 480).resize((320, 240)))
    write(folder / "2019" / "wood.jpg", picture(2, 640, 480))
    (folder / "broken.jpg").write_bytes(beach.read_bytes()[:2000])
    (folder / "notes.txt").write_text("no picture")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their relative paths; quarantines and all, but not their manifests."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.name != MANIFEST_NAME
    }

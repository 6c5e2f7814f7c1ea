"""What can go wrong between the plan and the act, made to happen."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from py_image_dedup.removal.journal import Step

NOBODY = 65534


def at(name: str, do: Callable[[], object]) -> Step:
    """A step hook that does something once, when the step of this name is reached."""
    waiting = [do]

    def step(reached: str, /) -> None:
        if reached == name and waiting:
            waiting.pop()()

    return step


def replace_file(path: Path, content: bytes) -> None:
    """Save as editors do: a new file, renamed over the old one."""
    fresh = path.with_name(path.name + ".editor")
    fresh.write_bytes(content)
    fresh.replace(path)


def change_in_place(path: Path, content: bytes) -> None:
    """Write into the file and give it its old time again: size, time and inode tell nothing."""
    status = path.stat()
    assert len(content) == status.st_size
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextmanager
def ordinary_user(*folders: Path) -> Iterator[None]:
    """Be a user who owns these folders and everything in them, and may do nothing else; root may do anything."""
    if os.geteuid() != 0:
        yield
        return
    for folder in folders:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        for above in folder.parents:
            if above.owner() == "root" and above.is_relative_to(tempfile.gettempdir()) and above.name:
                above.chmod(above.stat().st_mode | 0o755)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what a full disk does, on any machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """A file system of its own with so much room; skips where this user cannot mount one."""
    folder = Path(tempfile.mkdtemp())
    mounted = os.geteuid() == 0 and shutil.which("mount") is not None
    if mounted:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
        mounted = done.returncode == 0
    if not mounted:
        folder.rmdir()
        pytest.skip("NOT TESTED: a full and a read-only disk, because this user cannot mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()

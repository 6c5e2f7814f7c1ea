"""Which folders the kernel does not watch for this process, whatever the library that was to see to it believes.

watchdog says nothing of a folder below a root that it could not watch: because the system's limit was reached, or the
folder was renamed in the moment in which it was made. The kernel tells, inode by inode, what it watches (Linux:
``proc(5)``, "fdinfo").
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = Path("/proc/self/fdinfo")
_WATCH: Final = "inotify wd:"


def overlooked(root: Path, below: Path | None = None) -> Iterator[Path]:
    """Yield the folders that are not watched.

    Args:
        root: Is watched, with all folders below it.
        below: Look at this folder of the root only, and at those below it.

    Nothing is told where the kernel does not say, or counts inodes in another way than files are counted.
    """
    watched = _watched()
    if _inode(root) not in watched:
        return
    for folder, _, _ in os.walk(below or root):
        inode = _inode(Path(folder))
        if inode is not None and inode not in watched:
            yield Path(folder)


def _watched() -> frozenset[int]:
    found: set[int] = set()
    try:
        descriptors = list(_DESCRIPTORS.iterdir())
    except OSError:
        return frozenset()
    for descriptor in descriptors:
        try:
            text = descriptor.read_text(encoding="ascii")
        except OSError:  # closed by now, as that of this listing is
            continue
        for line in text.splitlines():
            if line.startswith(_WATCH):
                fields = dict(field.split(":", 1) for field in line.split()[1:])
                found.add(int(fields["ino"], 16))
    return frozenset(found)


def _inode(folder: Path) -> int | None:
    try:
        return folder.lstat().st_ino if not folder.is_symlink() else folder.stat().st_ino
    except OSError:
        return None

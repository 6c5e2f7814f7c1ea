"""Metadata of a file: journaled before the file is touched, restored by an undo."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MOST_ATTRIBUTES: Final = 64 * 1024
"""Bytes of extended attributes that are kept of one file."""


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """Metadata of a file or a folder.

    Attributes:
        mode: Permission bits.
        uid: Owner.
        gid: Group.
        atime_ns: Last read, nanoseconds since the epoch.
        mtime_ns: Last change, nanoseconds since the epoch.
        attributes: Extended attributes, by name.
    """

    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    attributes: tuple[tuple[str, bytes], ...] = ()

    @classmethod
    def of(cls, target: int | Path) -> FileMetadata:
        """Read the metadata of an open file, or of a path without following a link."""
        status = os.fstat(target) if isinstance(target, int) else target.lstat()
        return cls(
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            atime_ns=status.st_atime_ns,
            mtime_ns=status.st_mtime_ns,
            attributes=_attributes(target),
        )

    def apply_to(self, descriptor: int) -> None:
        """Apply the metadata to an open file, as far as this user may and the file system can; the times always.

        Raises:
            OSError: Not even the times could be set.
        """
        if hasattr(os, "setxattr"):
            for name, value in self.attributes:
                with suppress(OSError):  # labels of the system, and file systems without attributes
                    os.setxattr(descriptor, name, value)
        now = os.fstat(descriptor)
        if (now.st_uid, now.st_gid) != (self.uid, self.gid):
            with suppress(OSError):  # only root may give files away
                os.fchown(descriptor, self.uid, self.gid)
        with suppress(OSError):  # file systems without permission bits
            os.fchmod(descriptor, self.mode)
        os.utime(descriptor, ns=(self.atime_ns, self.mtime_ns))


def _attributes(target: int | Path) -> tuple[tuple[str, bytes], ...]:
    if not hasattr(os, "listxattr"):
        return ()
    follow = isinstance(target, int)
    found: list[tuple[str, bytes]] = []
    with suppress(OSError):  # a file system without attributes, or ones that this user may not read
        for name in os.listxattr(target, follow_symlinks=follow):
            with suppress(OSError):
                found.append((name, os.getxattr(target, name, follow_symlinks=follow)))
    return tuple(found) if sum(len(value) for _, value in found) <= _MOST_ATTRIBUTES else ()

"""Is a file that the walk did not meet gone for good?"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable

from py_image_dedup.model.file import Stamp
from py_image_dedup.model.inventory import Inventory


class Absence:
    """Tells what is gone from what is only out of sight. Not for several threads.

    Args:
        inventory: What the walk met, and where it could not look.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._aliases = inventory.aliases
        unknown = [os.fsencode(path).rstrip(b"/") for path in inventory.incomplete]
        self._unknown_paths = frozenset(unknown)
        self._unknown_below = tuple(path + b"/" for path in unknown)
        self._empty_devices: dict[bytes, int | None] = {}

    def gone(self, missing: Iterable[tuple[bytes, Stamp]], should_stop: Callable[[], bool]) -> dict[bytes, Stamp]:
        """Return those of the entries whose file is certainly gone.

        Args:
            missing: Raw paths and stamps that the index has and the walk did not meet.
            should_stop: Polled for each; what was not looked at by then is not gone.
        """
        gone: dict[bytes, Stamp] = {}
        for raw, stamp in missing:
            if should_stop():
                break
            if not self._is_out_of_sight(raw) and self._is_gone(raw, stamp):
                gone[raw] = stamp
        return gone

    def _is_out_of_sight(self, raw: bytes) -> bool:
        return raw in self._aliases or raw in self._unknown_paths or raw.startswith(self._unknown_below)

    def _is_gone(self, raw: bytes, stamp: Stamp) -> bool:
        try:
            status = os.lstat(raw)
        except (FileNotFoundError, NotADirectoryError):
            return not self._was_on_a_disk_that_is_away(raw, stamp)
        except OSError:  # no permission, or the disk fails: nothing is known
            return False
        return not stat.S_ISREG(status.st_mode)  # a link or a folder took its place

    def _was_on_a_disk_that_is_away(self, raw: bytes, stamp: Stamp) -> bool:
        """Tell whether the nearest folder that is there looks like a mount point with nothing mounted on it.

        Such a folder is empty, and on another device than the file was. A folder that the user emptied is on the
        same device.
        """
        folder = raw.rpartition(b"/")[0]
        device = self._empty_device(folder)
        return device is not None and device != stamp[2]

    def _empty_device(self, folder: bytes) -> int | None:
        """The device of the nearest existing folder, if that is empty."""
        if folder not in self._empty_devices:
            self._empty_devices[folder] = self._look(folder)
        return self._empty_devices[folder]

    def _look(self, folder: bytes) -> int | None:
        try:
            with os.scandir(folder or b"/") as entries:
                if next(entries, None) is not None:
                    return None
            return os.stat(folder or b"/").st_dev  # noqa: PTH116 - a raw path
        except (FileNotFoundError, NotADirectoryError):
            return self._empty_device(folder.rpartition(b"/")[0]) if folder else None
        except OSError:
            return None

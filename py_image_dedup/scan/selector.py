"""Which files count: one rule for the walk of a run and for the single files that a daemon hears of."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from py_image_dedup.model.file import Root
from py_image_dedup.model.plan import QUARANTINE_NAME

SYSTEM_FOLDERS = frozenset(
    {
        QUARANTINE_NAME,
        "#recycle",  # Synology's trash
        "$recycle.bin",
        "@eadir",  # Synology's thumbnails
        "lost+found",
        "system volume information",
        ".stfolder",  # Syncthing's marker
        ".stversions",  # Syncthing's older versions
    }
)
"""Folders that hold no photo of the user's, in lower case. ``.Trash*`` belongs to them too."""

_RAW_SYSTEM_FOLDERS = frozenset(os.fsencode(name) for name in SYSTEM_FOLDERS)

_LOOKS_BEYOND = re.compile(r"\$|\\[bBzZ]|\(\?(?![:P]|[aimsxLu]+\))|[*+?}]\+")
"""Parts of a regular expression that may match a folder and yet not every path below it."""

_USUAL_LENGTH = len(".jpg")


def is_system_folder(name: bytes) -> bool:
    """Tell whether a folder of this name is a trash, a system folder, or our own quarantine."""
    name = name.lower()
    return name in _RAW_SYSTEM_FOLDERS or name.startswith(b".trash")


@dataclass(frozen=True, slots=True)
class Selector:
    """The rule that says which files count. Pure: it looks at names and never at the disk. Threads may share it.

    Attributes:
        extensions: With or without the dot, in any case; a file counts only with one of them.
        exclusions: A file does not count when one of these is found anywhere in its whole path.
        recursive: Files in sub-folders count too.
        apart: Absolute folders that are never entered wherever they lie: where duplicates are moved to.
        listed: Absolute raw paths of the only files that count; ``None`` for no such list.
    """

    extensions: frozenset[str]
    exclusions: tuple[re.Pattern[str], ...] = ()
    recursive: bool = True
    apart: frozenset[bytes] = frozenset()
    listed: frozenset[bytes] | None = None
    raw_extensions: frozenset[bytes] = field(init=False, repr=False, compare=False)
    # What nearly all names end with, for the quick look of the walk: ``.jpg`` and ``.JPG``.
    usual_ends: frozenset[bytes] = field(init=False, repr=False, compare=False)
    _prunable: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Bring the extensions into the form that names are compared with."""
        raw = frozenset(b"." + os.fsencode(extension.lower().lstrip(".")) for extension in self.extensions)
        object.__setattr__(self, "raw_extensions", raw)
        short = [extension for extension in raw if len(extension) == _USUAL_LENGTH and extension.rfind(b".") == 0]
        object.__setattr__(self, "usual_ends", frozenset(short + [extension.upper() for extension in short]))
        prunable = tuple(pattern for pattern in self.exclusions if not _LOOKS_BEYOND.search(pattern.pattern))
        object.__setattr__(self, "_prunable", prunable)

    def selects(self, raw_path: bytes, root: Root) -> bool:
        """Tell whether the file at this absolute path counts as a file of this root.

        Whether it is there, and whether it is a regular file and not a link, only the disk knows.
        """
        folder, _, name = raw_path.rpartition(b"/")
        top = os.fsencode(root.path).rstrip(b"/")
        if folder != top:
            if not self.recursive or not folder.startswith(top + b"/"):
                return False
            if not self._enters_all(top, folder[len(top) + 1 :].split(b"/")):
                return False
        return self.has_extension(name) and not self.is_excluded(raw_path)

    def _enters_all(self, top: bytes, names: list[bytes]) -> bool:
        path = top
        for name in names:
            path += b"/" + name
            if is_system_folder(name) or path in self.apart:
                return False
        return True

    def has_extension(self, name: bytes) -> bool:
        """Tell whether a file name ends as a picture's does."""
        return name[name.rfind(b".") :].lower() in self.raw_extensions

    def is_excluded(self, raw_path: bytes) -> bool:
        """Tell whether an exclusion is found in the whole path of a file."""
        if self.listed is not None and raw_path not in self.listed:
            return True
        if not self.exclusions:
            return False
        path = os.fsdecode(raw_path)
        return any(pattern.search(path) for pattern in self.exclusions)

    def excludes_all_below(self, raw_folder: bytes) -> bool:
        """Tell whether no file below this folder can count, so that it need not be read.

        Only exclusions that cannot change their mind further down the path are asked: one with ``$`` or a look-ahead
        is left to the files themselves.
        """
        if not self._prunable:
            return False
        path = os.fsdecode(raw_folder) + "/"
        return any(pattern.search(path) for pattern in self._prunable)

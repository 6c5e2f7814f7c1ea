"""The selection of files, the same for the walk of a run and for single files in events of the daemon."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field

from py_image_dedup.media.formats import HEAD_BYTES, TAIL_BYTES, recognise
from py_image_dedup.media.limits import MediaError
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
"""Names of folders without photos of the user, in lower case. Names that start with ``.trash`` belong to them too."""

_RAW_SYSTEM_FOLDERS = frozenset(os.fsencode(name) for name in SYSTEM_FOLDERS)

_DEPENDS_ON_END = re.compile(r"\$|\\[bBzZ]|\(\?(?![:P]|[aimsxLu]+\))|[*+?}]\+")
"""Parts of a regular expression that may match a folder and not every path below it."""

_COMMON_SUFFIX_LENGTH = len(".jpg")


def is_system_folder(name: bytes) -> bool:
    """Return whether a folder of this name is a trash, a system folder, or the quarantine."""
    name = name.lower()
    return name in _RAW_SYSTEM_FOLDERS or name.startswith(b".trash")


def is_picture(raw_path: bytes) -> bool:
    """Return whether the content of a file is that of a format that can be decoded; unreadable files are not."""
    try:
        with open(raw_path, "rb", buffering=0) as stream:  # noqa: PTH123 - a raw path
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return False
            head = stream.read(HEAD_BYTES)
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - TAIL_BYTES))
            recognise(head, stream.read(TAIL_BYTES), "")
    except (OSError, MediaError):
        return False
    return True


@dataclass(frozen=True, slots=True)
class Selector:
    """A selection of files by name, size and content. Threads may share it.

    Attributes:
        extensions: Extensions of selected files, with or without the dot, in any case.
        exclusions: Patterns of files that are not selected, searched for anywhere in the absolute path.
        recursive: Whether files in sub-folders are selected.
        set_apart: Absolute folders that are never entered, such as the folder that duplicates are moved to.
        listed: Absolute raw paths of the only files that are selected; ``None`` for no such list.
        any_extension: Whether files with other extensions are selected too if their content is a picture's.
        min_size: Smallest size of a selected file, in bytes.
        max_size: Largest size of a selected file, in bytes; ``None`` for any.
        one_file_system: Whether files on other file systems than that of their root are not selected.
    """

    extensions: frozenset[str]
    exclusions: tuple[re.Pattern[str], ...] = ()
    recursive: bool = True
    set_apart: frozenset[bytes] = frozenset()
    listed: frozenset[bytes] | None = None
    any_extension: bool = False
    min_size: int = 0
    max_size: int | None = None
    one_file_system: bool = False
    raw_extensions: frozenset[bytes] = field(init=False, repr=False, compare=False)
    # The suffixes of almost all names, for the fast path of the walk: ``.jpg`` and ``.JPG``.
    common_suffixes: frozenset[bytes] = field(init=False, repr=False, compare=False)
    _prunable: tuple[re.Pattern[str], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Normalise the extensions for the comparison with names."""
        raw = frozenset(b"." + os.fsencode(extension.lower().lstrip(".")) for extension in self.extensions)
        object.__setattr__(self, "raw_extensions", raw)
        short = [
            extension for extension in raw if len(extension) == _COMMON_SUFFIX_LENGTH and extension.rfind(b".") == 0
        ]
        object.__setattr__(self, "common_suffixes", frozenset(short + [extension.upper() for extension in short]))
        prunable = tuple(pattern for pattern in self.exclusions if not _DEPENDS_ON_END.search(pattern.pattern))
        object.__setattr__(self, "_prunable", prunable)

    def selects(self, raw_path: bytes, root: Root) -> bool:
        """Return whether the file at an absolute path is selected by its name as a file of a root.

        The disk is not read: whether the file exists, is a regular file and not a link, and has the size and the
        content of a selected file is not checked.
        """
        folder, _, name = raw_path.rpartition(b"/")
        top = os.fsencode(root.path).rstrip(b"/")
        if folder != top:
            if not self.recursive or not folder.startswith(top + b"/"):
                return False
            if not self._enters(top, folder[len(top) + 1 :].split(b"/")):
                return False
        if self.is_excluded(raw_path):
            return False
        return self.any_extension or self.has_extension(name)

    def selects_content(self, raw_path: bytes, size: int) -> bool:
        """Return whether an existing file that is selected by its name is selected by its size and content too."""
        name = raw_path.rpartition(b"/")[2]
        return self.has_size(size) and (not self.any_extension or self.has_extension(name) or is_picture(raw_path))

    def has_size(self, size: int) -> bool:
        """Return whether files of a size, in bytes, are selected."""
        return self.min_size <= size and (self.max_size is None or size <= self.max_size)

    @property
    def limits_size(self) -> bool:
        """Whether some sizes are not selected."""
        return self.min_size > 0 or self.max_size is not None

    def _enters(self, top: bytes, names: list[bytes]) -> bool:
        path = top
        for name in names:
            path += b"/" + name
            if is_system_folder(name) or path in self.set_apart:
                return False
        return True

    def has_extension(self, name: bytes) -> bool:
        """Return whether a file name has one of the extensions."""
        return name[name.rfind(b".") :].lower() in self.raw_extensions

    def is_excluded(self, raw_path: bytes) -> bool:
        """Return whether an exclusion matches the path of a file, or a list of files leaves it out."""
        if self.listed is not None and raw_path not in self.listed:
            return True
        if not self.exclusions:
            return False
        path = os.fsdecode(raw_path)
        return any(pattern.search(path) for pattern in self.exclusions)

    def excludes_all_below(self, raw_folder: bytes) -> bool:
        """Return whether an exclusion matches every path below a folder, so that the folder need not be read.

        Exclusions whose match depends on the rest of the path, such as those with ``$`` or a look-ahead, are applied to
        the files instead.
        """
        if not self._prunable:
            return False
        path = os.fsdecode(raw_folder) + "/"
        return any(pattern.search(path) for pattern in self._prunable)

"""The desktop's trash: files are sent there with Send2Trash and found by the rules of freedesktop.org, or of macOS.

The layout is that of the XDG Trash specification 1.0: ``files/NAME`` and ``info/NAME.trashinfo`` with the old path.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_to_bytes

from py_image_dedup.model.file import Stamp
from py_image_dedup.removal.filesystem import NameInDir, NotAsPlanned, Stranded, stamp_of


def send_to_trash(place: NameInDir, expected: Stamp) -> Path | None:
    """Send a file to the trash of its file system or of the user.

    Returns:
        Where it is in the trash, or ``None`` if that is unknown on this system.

    Raises:
        NotAsPlanned: There is no trash for it.
        Stranded: Another file than the checked one went to the trash; it can be taken out there.
        OSError: The trash refuses.
    """
    from send2trash import TrashPermissionError, send2trash  # it may load the desktop's libraries

    try:
        send2trash(os.fspath(place.path))
    except TrashPermissionError as error:
        raise NotAsPlanned(f"there is no trash for {place.path}: {error}; choose another action") from error
    where = find_in_trash(place.path, expected)
    others = [] if where is not None else _from(place.path)
    if others:
        at = max(others, key=lambda other: other.lstat().st_ctime_ns)
        raise Stranded(f"{place.path} was replaced at the last moment; what was there is in the trash: {at}", at)
    return where


def find_in_trash(path: Path, expected: Stamp) -> Path | None:
    """Find a file that was sent to a trash from this path.

    Args:
        path: Where it was.
        expected: What it was. Size and time are enough: a trash on another file system has a copy.

    Returns:
        Where it is now, or ``None``.
    """
    if sys.platform == "darwin":
        return _in_finders_trash(path, expected)
    fitting = [one for one in _from(path) if stamp_of(one.lstat())[:2] == expected[:2]]
    return max(fitting, key=lambda one: stamp_of(one.lstat()) == expected, default=None)


def _in_finders_trash(path: Path, expected: Stamp) -> Path | None:
    """Find a file in the trash of macOS, which does not record former paths, by its name, size and time.

    Reading the trash needs full disk access; without it, nothing is found.
    """
    top = Path(os.path.realpath(path.parent))
    while not os.path.ismount(top):
        top = top.parent
    for trash in (Path.home() / ".Trash", top / ".Trashes" / str(os.getuid())):
        with suppress(OSError):
            for one in trash.iterdir():  # a second file of one name gets the time behind its stem
                if one.name.startswith(path.stem) and stamp_of(one.lstat())[:2] == expected[:2]:
                    return one
    return None


def info_file(trashed: Path) -> Path:
    """Return the file with the former path of a file in the trash."""
    return trashed.parent.parent / "info" / f"{trashed.name}.trashinfo"


def _trashes(path: Path) -> Iterator[tuple[Path, Path]]:
    """Return the trashes that a file may be in, each with the folder that its relative paths begin at."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    yield data / "Trash", data
    top = Path(os.path.realpath(path.parent))
    while not os.path.ismount(top):
        top = top.parent
    yield top / ".Trash" / str(os.getuid()), top
    yield top / f".Trash-{os.getuid()}", top


def _from(path: Path) -> list[Path]:
    """Return the files in the trashes that came from a path."""
    wanted = (os.path.realpath(path.parent), path.name)
    found: list[Path] = []
    for trash, top in _trashes(path):
        for likely in (True, False):
            for candidate in _candidates(trash, path, likely=likely):
                old = _old_path(trash, candidate.name, top)
                if old is not None and (os.path.realpath(old.parent), old.name) == wanted:
                    found.append(candidate)
            if found:
                break
    return found


def _candidates(trash: Path, path: Path, *, likely: bool) -> Iterator[Path]:
    """Return the files that may be it: first those of its name or with a number added, then any."""
    files = trash / "files"
    if not likely:
        with suppress(OSError):
            yield from files.iterdir()
        return
    candidate, number = files / path.name, 0
    while os.path.lexists(candidate):
        yield candidate
        number += 1
        candidate = files / f"{path.stem} {number}{path.suffix}"


def _old_path(trash: Path, name: str, top: Path) -> Path | None:
    parser = ConfigParser(interpolation=None)
    try:
        text = (trash / "info" / f"{name}.trashinfo").read_text(encoding="utf-8", errors="surrogateescape")
        parser.read_string(text)
        return top / os.fsdecode(unquote_to_bytes(parser["Trash Info"]["Path"]))
    except (OSError, ConfigError, KeyError):
        return None

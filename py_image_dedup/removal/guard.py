"""The checks at the moment of acting: source and keeper are what was planned, byte by byte."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from py_image_dedup.model.file import FileStat, Stamp
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import Action, Plan
from py_image_dedup.removal.content import digest_of, same_bytes
from py_image_dedup.removal.filesystem import NotAsPlanned, Place, is_file, stamp_of


@dataclass(frozen=True, slots=True)
class Checked:
    """A source that may be removed now.

    Attributes:
        descriptor: The source, open for reading: these are the bytes that were compared.
        stamp: Of the source.
        keeper: Its keeper's place.
        keeper_stamp: Of the keeper.
    """

    descriptor: int
    stamp: Stamp
    keeper: Place
    keeper_stamp: Stamp

    def keeper_is_there(self) -> None:
        """Look once more, right before the last name of the source goes.

        Raises:
            NotAsPlanned: The keeper changed or vanished.
        """
        self.is_keeper(self.keeper)

    def is_keeper(self, place: Place) -> None:
        """Make sure that a name is the keeper's.

        Raises:
            NotAsPlanned: It is not, or the keeper changed.
        """
        status = place.look()
        if status is None or not is_file(status) or stamp_of(status) != self.keeper_stamp:
            raise NotAsPlanned(f"the keeper {self.keeper.path} changed or vanished at the last moment")


@contextmanager
def checked(action: Action, source: Place, keeper: Place) -> Iterator[Checked]:
    """Make sure that a file and its keeper are what was planned.

    ``identical`` files are compared byte by byte, others by the digests in the plan.

    Raises:
        NotAsPlanned: One of them changed, vanished, is no regular file any more, or they are one file.
        OSError: One of them cannot be read.
    """
    stamp = _expect(source, action.source, str(source.path))
    keeper_stamp = _expect(keeper, action.keeper, f"the keeper {keeper.path}")
    if stamp[2:] == keeper_stamp[2:]:
        raise NotAsPlanned(f"{source.path} is the keeper {keeper.path} under another name")
    left = source.open()
    try:
        right = keeper.open()
        try:
            _check_content(action, left, right)
            for descriptor, expected, place in ((left, stamp, source), (right, keeper_stamp, keeper)):
                if stamp_of(os.fstat(descriptor)) != expected:
                    raise NotAsPlanned(f"{place.path} changed while it was compared")
        finally:
            os.close(right)
        yield Checked(left, stamp, keeper, keeper_stamp)
    finally:
        os.close(left)


def expected_file(status: os.stat_result | None, planned: FileStat, name: str) -> Stamp:
    """Make sure that what was looked at is the planned file.

    Raises:
        NotAsPlanned: It is not; the message says what differs.
    """
    if status is None:
        raise NotAsPlanned(f"{name} is not there any more")
    if not is_file(status):
        raise NotAsPlanned(f"{name} is no regular file any more; links and special files are never touched")
    stamp = stamp_of(status)
    if stamp[2:] != planned.stamp[2:]:
        raise NotAsPlanned(f"{name} was replaced by another file since it was analysed; run again to look at it anew")
    if stamp != planned.stamp:
        raise NotAsPlanned(f"{name} was changed since it was analysed; run again to look at it anew")
    return stamp


def _expect(place: Place, planned: FileStat, name: str) -> Stamp:
    return expected_file(place.look(), planned, name)


def _check_content(action: Action, left: int, right: int) -> None:
    advice = "though its size and time are the same; run again to look at it anew"
    if action.match_class is MatchClass.IDENTICAL:
        digest = same_bytes(left, right)
        if digest is None:
            raise NotAsPlanned(f"{action.source.path} and its keeper {action.keeper.path} are not the same bytes")
        if digest != action.source_digest:
            raise NotAsPlanned(f"{action.source.path} has other bytes than when it was analysed, {advice}")
        return
    for descriptor, planned, path in (
        (left, action.source_digest, action.source.path),
        (right, action.keeper_digest, action.keeper.path),
    ):
        if digest_of(descriptor) != planned:
            raise NotAsPlanned(f"{path} has other bytes than when it was analysed, {advice}")


class Fence:
    """Keeps what is protected out of reach, whatever links and mounts lead there.

    Names are checked by the plan's invariants; this one looks at the folders themselves.

    Args:
        plan: Its protected folders and its target directory.
    """

    def __init__(self, plan: Plan) -> None:
        folders = (*plan.protected, *((plan.target_directory,) if plan.target_directory else ()))
        self._closed: dict[tuple[int, int], Path] = {}
        for folder in folders:
            with suppress(FileNotFoundError):
                status = folder.stat()
                self._closed[status.st_dev, status.st_ino] = folder

    def check(self, source: Path) -> None:
        """Make sure that no folder above a file is one of them.

        Raises:
            NotAsPlanned: One is.
            OSError: A folder cannot be looked at.
        """
        if not self._closed:
            return
        parent = Path(os.path.realpath(source.parent))
        for folder in (parent, *parent.parents):
            status = folder.stat()
            closed = self._closed.get((status.st_dev, status.st_ino))
            if closed is not None:
                raise NotAsPlanned(f"{source} lies in {closed}, whose files are never removed")

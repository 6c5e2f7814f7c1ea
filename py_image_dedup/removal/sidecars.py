"""Writes metadata of removed pictures to their keepers' XMP sidecars, and takes them back.

A sidecar is written before the picture is removed, and only if that can be undone: its former bytes are in the journal
before it is touched. It is never written in place: the old one is set aside until the new one has its name. What an
undo makes of it is what the run had made without the files that are back; a sidecar that another program changed
meanwhile stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from blake3 import blake3

from py_image_dedup.model.file import Stamp
from py_image_dedup.model.plan import Action, SidecarMerge
from py_image_dedup.removal.filesystem import (
    FileMetadata,
    NameInDir,
    NotAsPlanned,
    Stranded,
    fsync,
    is_file,
    open_in_dir,
    put_back,
    rename_new,
    set_aside,
    stamp_of,
)
from py_image_dedup.xmp.properties import XmpError

LONGEST: Final = 1 << 20
"""Bytes of the largest sidecar that is written: its former content is kept in the journal."""


@dataclass(frozen=True, slots=True)
class SidecarWrite:
    """One change of a sidecar.

    Attributes:
        number: The action that it belongs to.
        path: The sidecar.
        before: Its bytes before; ``None`` if there was none.
        metadata: Its metadata before.
        after: BLAKE3 digest of its bytes afterwards; ``None`` if it was removed.
        undone: Whether the metadata of the action were taken out of it, and not written.
    """

    number: int
    path: Path
    before: bytes | None
    metadata: FileMetadata | None
    after: bytes | None
    undone: bool = False


class SidecarJournal(Protocol):
    """The part of a journal that sidecars need."""

    def record_sidecar(self, write: SidecarWrite) -> None:
        """Record what is about to be done to a sidecar."""

    def flush(self) -> None:
        """Flush every line to disk."""


class Step(Protocol):
    """Called with the name of each step, before and after it."""

    def __call__(self, name: str, /) -> None:
        """Take a step."""


@dataclass(frozen=True, slots=True)
class _Sidecar:
    content: bytes
    stamp: Stamp
    metadata: FileMetadata


@dataclass(slots=True)
class Sidecars:
    """The sidecars of a run. Not thread-safe.

    Attributes:
        run: The name of the run; names of files in between are made from it.
        trusted_roots: Folders that may be reached through links.
        step: Called with the name of each step.
        journal: The journal of the run.
        merges: What each action writes, by its number.
        writes: What was done to each sidecar so far, in order.
    """

    run: str
    trusted_roots: tuple[Path, ...]
    step: Step
    journal: SidecarJournal
    merges: dict[int, SidecarMerge] = field(default_factory=dict)
    writes: dict[Path, list[SidecarWrite]] = field(default_factory=dict)

    def write(self, action: Action) -> None:
        """Write the metadata of an action's source to the keeper's sidecar, if it lacks them.

        Raises:
            NotAsPlanned: The sidecar cannot take them, or changed at the last moment; it is as it was.
            Stranded: It could get neither its new content nor its name back; the message says where it is.
            OSError: The disk refuses; it is as it was.
            JournalError: The journal cannot be written; nothing was done.
        """
        merge = action.merge
        if merge is None:
            return
        self.merges[action.number] = merge
        with open_in_dir(merge.path, self.trusted_roots) as place:
            self._clean(place, action.number)
            before = _read(place)
            content = b"" if before is None else before.content
            try:
                after = _with(content, merge)
            except XmpError as error:
                raise NotAsPlanned(f"the sidecar {merge.path} cannot be written: {error}") from error
            if len(after) > LONGEST:
                raise NotAsPlanned(f"the sidecar {merge.path} would be larger than {LONGEST >> 20} MiB")
            if before is None or after != content:
                beside = FileMetadata.of(action.keeper.path) if before is None else before.metadata
                self._replace(place, action.number, before, after, beside)

    def take_back(self, number: int) -> str:
        """Take the metadata of an action out of the sidecar again, as far as nobody else changed it.

        Args:
            number: The number of the action, whose file is back or was not removed.

        Returns:
            Why the sidecar stays as it is; empty if nothing is left to do.
        """
        merge = self.merges.get(number)
        if merge is None:
            return ""
        try:
            with open_in_dir(merge.path, self.trusted_roots) as place:
                self._clean(place, number)
                return self._take_back(place, number)
        except (NotAsPlanned, Stranded, XmpError) as error:
            return f"the sidecar {merge.path} was not restored: {error}"
        except OSError as error:
            return f"the sidecar {merge.path} could not be restored: {error.strerror or error}; undo again"

    def _take_back(self, place: NameInDir, number: int) -> str:
        writes = list(self.writes.get(place.path, ()))
        present = _read(place)
        digest = None if present is None else blake3(present.content).digest()
        if writes and digest != writes[-1].after and digest == _digest(writes[-1].before):
            writes.pop()  # the run was killed before it
        if not any(each.number == number for each in writes):
            return ""
        if digest != writes[-1].after:
            return f"the sidecar {place.path} was changed since; it stays as it is"
        chain = _unbroken(writes)
        active = _active(chain)
        if number not in active:
            is_back = any(each.number == number and each.undone for each in writes)
            return "" if is_back else f"the sidecar {place.path} was changed since; it stays as it is"
        del active[number]
        content = chain[0].before
        for each in active:
            content = _with(content or b"", self.merges[each])
        metadata = chain[0].metadata if present is None or chain[0].metadata is not None else present.metadata
        self._replace(place, number, present, content, metadata, undone=True, with_times=not active)
        return ""

    def _replace(
        self,
        place: NameInDir,
        number: int,
        before: _Sidecar | None,
        after: bytes | None,
        metadata: FileMetadata | None,
        *,
        undone: bool = False,
        with_times: bool = False,
    ) -> None:
        """Give a sidecar its new content, or remove it; at every moment its bytes are on disk or in the journal."""
        write = SidecarWrite(
            number=number,
            path=place.path,
            before=None if before is None else before.content,
            metadata=None if before is None else before.metadata,
            after=None if after is None else blake3(after).digest(),
            undone=undone,
        )
        self.journal.record_sidecar(write)
        self.step("sidecar: recorded")
        self.journal.flush()
        part = place.beside(self._part(number))
        aside: NameInDir | None = None
        try:
            if after is not None:
                _create(part, after, metadata, with_times=with_times)
                self.step("sidecar: written")
            if before is not None:
                aside = set_aside(place, self._aside(number), before.stamp)
                self.step("sidecar: set aside")
            if after is not None:
                try:
                    rename_new(part, place)
                except FileExistsError as error:
                    raise NotAsPlanned(
                        f"{place.path} appeared at the last moment; nothing is ever overwritten"
                    ) from error
        except BaseException:
            with suppress(FileNotFoundError):
                part.unlink()
            if aside is not None:
                put_back(aside, place)
            raise
        _append(self.writes.setdefault(place.path, []), write)
        self.step("sidecar: named")
        fsync(place.folder)
        if aside is not None:
            aside.unlink()
        self.step("sidecar: done")

    def _clean(self, place: NameInDir, number: int) -> None:
        """Remove what a killed process left: an incomplete sidecar, and the old one that was set aside."""
        part, aside = place.beside(self._part(number)), place.beside(self._aside(number))
        if part.look() is not None:
            self.step("sidecar: clear")
            part.unlink()
        if aside.look() is None:
            return
        self.step("sidecar: clear")
        if place.look() is None:
            put_back(aside, place)
        else:
            left = _read(aside)
            known = {each.before for each in self.writes.get(place.path, ())}
            if left is not None and left.content in known:  # the journal has it
                aside.unlink()

    def _part(self, number: int) -> str:
        return f".py-image-dedup-{self.run}-{number}.xmp.part"

    def _aside(self, number: int) -> str:
        return f".py-image-dedup-{self.run}-{number}.xmp.aside"


def _with(content: bytes, merge: SidecarMerge) -> bytes:
    """Return the content of a sidecar with the metadata."""
    from py_image_dedup.xmp.packet import merged  # few runs have sidecars to write, and it loads an XML library

    return merged(content, dict(merge.properties), (merge.width, merge.height))


def _digest(content: bytes | None) -> bytes | None:
    return None if content is None else blake3(content).digest()


def _unbroken(writes: list[SidecarWrite]) -> list[SidecarWrite]:
    """Return the last writes of which each found what the one before it had left."""
    start = len(writes) - 1
    while start > 0 and _digest(writes[start].before) == writes[start - 1].after:
        start -= 1
    return writes[start:]


def _active(chain: list[SidecarWrite]) -> dict[int, None]:
    """Return the numbers of the actions whose metadata are in a sidecar, in the order in which they came."""
    active: dict[int, None] = {}
    for each in chain:
        if each.undone:
            active.pop(each.number, None)
        else:
            active[each.number] = None
    return active


def _read(place: NameInDir) -> _Sidecar | None:
    status = place.look()
    if status is None:
        return None
    if not is_file(status):
        raise NotAsPlanned(f"{place.path} is no regular file; links and special files are never touched")
    if status.st_size > LONGEST:
        raise NotAsPlanned(f"{place.path} is larger than {LONGEST >> 20} MiB")
    descriptor = place.open()
    try:
        stamp, metadata = stamp_of(os.fstat(descriptor)), FileMetadata.of(descriptor)
        content = b""
        while chunk := os.pread(descriptor, LONGEST + 1, len(content)):
            content += chunk
            if len(content) > LONGEST:
                raise NotAsPlanned(f"{place.path} is larger than {LONGEST >> 20} MiB")
        return _Sidecar(content, stamp, metadata)
    finally:
        os.close(descriptor)


def _create(part: NameInDir, content: bytes, metadata: FileMetadata | None, *, with_times: bool) -> None:
    """Write a whole sidecar under its name in between, and wait until it is on disk."""
    descriptor = part.create()
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        if metadata is not None:
            now = FileMetadata.of(descriptor)
            times = metadata if with_times else now
            FileMetadata(
                mode=metadata.mode & 0o666,
                uid=metadata.uid,
                gid=metadata.gid,
                atime_ns=times.atime_ns,
                mtime_ns=times.mtime_ns,
                attributes=metadata.attributes if with_times else (),
            ).apply_to(descriptor)
        fsync(descriptor)
    finally:
        os.close(descriptor)


def by_path(writes: Iterable[SidecarWrite]) -> dict[Path, list[SidecarWrite]]:
    """Return the writes of a journal by the sidecar, in their order, without those that a kill prevented."""
    found: dict[Path, list[SidecarWrite]] = {}
    for write in writes:
        _append(found.setdefault(write.path, []), write)
    return found


def _append(writes: list[SidecarWrite], write: SidecarWrite) -> None:
    """Add a write, which shows whether the one before it was only recorded: then it found the same as that one."""
    before = _digest(write.before)
    if writes and writes[-1].after != before and _digest(writes[-1].before) == before:
        writes.pop()
    writes.append(write)

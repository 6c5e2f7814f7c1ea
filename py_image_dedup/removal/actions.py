"""How one file is moved, deleted, linked or brought to the trash.

Each act is a generator: it yields descriptors that must be on the disk before it may go on, so that many acts wait for
the disk together, and returns where the file is now. Whatever goes wrong, and whenever the process is killed, the bytes
have a name: the source's, the target's, or one that is made from the run's name and the action's number.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from py_image_dedup.model.plan import Action, ActionKind
from py_image_dedup.removal.content import copy_bytes, digest_on_disk
from py_image_dedup.removal.file_metadata import FileFacts
from py_image_dedup.removal.filesystem import NotAsPlanned, Place, anchor_of, open_place, stamp_of
from py_image_dedup.removal.guard import Checked, checked
from py_image_dedup.removal.journal import Step, no_step
from py_image_dedup.removal.rename import put_back, rename_new, take_aside
from py_image_dedup.removal.trash import send_to_trash

Act: TypeAlias = Generator[tuple[int, ...], None, Path | None]
"""Yields what must be on the disk before it goes on; returns where the file is, or ``None`` if it is gone."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What every act of a run shares.

    Attributes:
        run: The name of the run; names of files in between are made from it.
        anchors: Folders that may be reached through links; below them no folder may be one.
        step: Is told each step.
    """

    run: str
    anchors: tuple[Path, ...]
    step: Step = no_step

    def aside_name(self, number: int) -> str:
        """Return the name that a file has while its fate is decided; it is beside the file."""
        return f".py-image-dedup-{self.run}-{number}.aside"

    def part_name(self, number: int) -> str:
        """Return the name of a copy that is not whole yet; it is beside its final place."""
        return f".py-image-dedup-{self.run}-{number}.part"


def act(action: Action, facts: FileFacts, scene: Scene) -> Act:
    """Carry out one action.

    Args:
        action: What to do.
        facts: Of the source, as the journal has them.
        scene: Of the run.

    Raises:
        NotAsPlanned: The disk is not as planned; nothing was done.
        Stranded: The file is at another place than it should be; the exception says where.
        OSError: The disk refuses; nothing was done.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_place(action.source.path, scene.anchors))
        keeper = stack.enter_context(open_place(action.keeper.path, scene.anchors))
        found = stack.enter_context(checked(action, source, keeper))
        return (yield from _ACTS[action.kind](_Begun(action, facts, scene, source, found)))


@dataclass(frozen=True, slots=True)
class _Begun:
    """An action whose source and keeper were found to be as planned."""

    action: Action
    facts: FileFacts
    scene: Scene
    source: Place
    found: Checked

    def take_aside(self) -> Place:
        self.scene.step("take aside")
        aside = take_aside(self.source, self.scene.aside_name(self.action.number), self.found.stamp)
        self.scene.step("taken aside")
        return aside


def _move(begun: _Begun) -> Act:
    target_path, source, scene = begun.action.target, begun.source, begun.scene
    if target_path is None:
        raise NotAsPlanned(f"{source.path} has no target")
    anchor_of(target_path, scene.anchors).mkdir(parents=True, exist_ok=True)
    with open_place(target_path, scene.anchors, make=True) as target:
        if target.look() is not None:
            raise NotAsPlanned(f"{target.path} is there already; nothing is ever overwritten")
        scene.step("move: rename")
        try:
            rename_new(source, target)
        except FileExistsError as error:
            raise NotAsPlanned(f"{target.path} appeared at the last moment; nothing is ever overwritten") from error
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            scene.step("move: renamed")
            if stamp_of(target.lstat()) != begun.found.stamp:
                put_back(target, source)
                raise NotAsPlanned(f"{source.path} was replaced or changed at the last moment")
            return target.path
        return (yield from _move_across(begun, target))


def _move_across(begun: _Begun, target: Place) -> Act:
    """Move to another file system: the source goes when its copy is on the disk, read again, under its final name."""
    scene, number = begun.scene, begun.action.number
    copy = Copy(target, target.beside(scene.part_name(number)), scene.step)
    with copy.or_nothing():
        yield from copy.make(begun.found.descriptor, begun.facts, begun.action.source_digest)
        copy.name_it()
        yield (target.folder,)
        aside = begun.take_aside()
    aside.unlink()
    scene.step("unlinked")
    return target.path


class Copy:
    """A copy that appears under its final name whole, verified and never over anything.

    Args:
        target: The final name.
        part: The name while it is made.
        step: Is told each step.
    """

    def __init__(self, target: Place, part: Place, step: Step) -> None:
        self._target, self._part, self._step = target, part, step
        self._at = part
        self._inode: int | None = None

    @contextmanager
    def or_nothing(self) -> Iterator[None]:
        """Take the copy away if the block does not come to its end."""
        try:
            yield
        except BaseException:
            status = self._at.look()
            if status is not None and self._inode is not None and status.st_ino == self._inode:
                self._at.unlink()
            raise

    def make(self, source: int, facts: FileFacts, digest: bytes) -> Generator[tuple[int, ...], None, None]:
        """Copy an open file; yield it to be flushed; read it again from the disk.

        Raises:
            NotAsPlanned: The source has other bytes than it should.
            OSError: The disk is full, or gave other bytes back.
        """
        self._step("copy: create")
        descriptor = self._part.create()
        try:
            self._inode = os.fstat(descriptor).st_ino
            self._step("copy: created")
            if copy_bytes(source, descriptor) != digest:
                raise NotAsPlanned(f"the source of {self._target.path} changed while it was copied")
            facts.give_to(descriptor)
            self._step("copy: written")
            yield (descriptor,)
            self._step("copy: flushed")
            if digest_on_disk(descriptor) != digest:
                raise OSError(errno.EIO, "the disk gives back other bytes than were written", str(self._part.path))
            os.utime(descriptor, ns=(facts.atime_ns, facts.mtime_ns))  # reading it again was not its last read
        finally:
            os.close(descriptor)

    def name_it(self) -> None:
        """Give the copy its final name.

        Raises:
            NotAsPlanned: The name was taken meanwhile.
        """
        self._step("copy: name")
        try:
            rename_new(self._part, self._target)
        except FileExistsError as error:
            raise NotAsPlanned(f"{self._target.path} appeared meanwhile; nothing is ever overwritten") from error
        self._at = self._target
        self._step("copy: named")


def _delete(begun: _Begun) -> Act:
    yield from ()  # nothing to wait for
    aside = begun.take_aside()
    try:
        begun.found.keeper_is_there()
    except NotAsPlanned:
        put_back(aside, begun.source)
        raise
    aside.unlink()
    begun.scene.step("unlinked")
    return None


def _hardlink(begun: _Begun) -> Act:
    yield from ()  # nothing to wait for
    keeper, source, scene = begun.found.keeper, begun.source, begun.scene
    link = source.beside(scene.part_name(begun.action.number))
    scene.step("hardlink: link")
    os.link(keeper.name, link.name, src_dir_fd=keeper.folder, dst_dir_fd=link.folder, follow_symlinks=False)
    try:
        scene.step("hardlink: linked")
        begun.found.is_keeper(link)
        aside = begun.take_aside()
        try:
            rename_new(link, source)
        except OSError:
            put_back(aside, source)
            raise
    except BaseException:
        link.unlink()
        raise
    scene.step("hardlink: named")
    aside.unlink()
    scene.step("unlinked")
    return None


def _trash(begun: _Begun) -> Act:
    yield from ()  # nothing to wait for
    begun.scene.step("trash: send")
    where = send_to_trash(begun.source, begun.found.stamp)
    begun.scene.step("trash: sent")
    return where


_ACTS: Final[dict[ActionKind, Callable[[_Begun], Act]]] = {
    ActionKind.MOVE: _move,
    ActionKind.QUARANTINE: _move,
    ActionKind.DELETE: _delete,
    ActionKind.TRASH: _trash,
    ActionKind.HARDLINK: _hardlink,
}

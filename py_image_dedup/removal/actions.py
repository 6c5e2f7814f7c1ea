"""Carries out actions, one alone or a batch that is flushed to disk together.

A file is moved, deleted, linked, or moved to the trash.

The steps of an action are a generator: it yields descriptors that must be on disk before it continues, so that many
actions are flushed together, and returns where the file is now. At every moment the bytes are reachable under some
name: the source's, the target's, or one made from the name of the run and the number of the action.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from py_image_dedup.model.file import FileStat, Stamp
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.plan import Action, ActionKind, Outcome, OutcomeStatus, Plan
from py_image_dedup.removal.filesystem import (
    FileMetadata,
    NameInDir,
    NotAsPlanned,
    Stranded,
    copy_bytes,
    digest_of,
    digest_on_disk,
    fsync_all,
    is_file,
    open_in_dir,
    put_back,
    rename_new,
    same_bytes,
    set_aside,
    stamp_of,
    trusted_root_of,
)
from py_image_dedup.removal.journal import History, Journal, Step, no_step
from py_image_dedup.removal.sidecars import Sidecars, by_path
from py_image_dedup.removal.trash import send_to_trash


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A source that may be removed now.

    Attributes:
        descriptor: The source, open for reading: these are the bytes that were compared.
        stamp: Stamp of the source.
        keeper: Name of the keeper in its open folder.
        keeper_stamp: Stamp of the keeper.
    """

    descriptor: int
    stamp: Stamp
    keeper: NameInDir
    keeper_stamp: Stamp

    def keeper_is_there(self) -> None:
        """Check the keeper again, immediately before the last name of the source is removed.

        Raises:
            NotAsPlanned: The keeper changed or vanished.
        """
        self.is_keeper(self.keeper)

    def is_keeper(self, place: NameInDir) -> None:
        """Check that a name is the keeper's.

        Raises:
            NotAsPlanned: It is not, or the keeper changed.
        """
        status = place.look()
        if status is None or not is_file(status) or stamp_of(status) != self.keeper_stamp:
            raise NotAsPlanned(f"the keeper {self.keeper.path} changed or vanished at the last moment")


@contextmanager
def checked_pair(action: Action, source: NameInDir, keeper: NameInDir) -> Iterator[CheckedPair]:
    """Check that a file and its keeper are as planned.

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
        yield CheckedPair(left, stamp, keeper, keeper_stamp)
    finally:
        os.close(left)


def expected_file(status: os.stat_result | None, planned: FileStat, name: str) -> Stamp:
    """Check that a file is the planned one.

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


def _expect(place: NameInDir, planned: FileStat, name: str) -> Stamp:
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


class ProtectedFolders:
    """Protects folders by their inodes, whatever links and mounts lead to them.

    The plan's invariants check names; this class checks the folders themselves.

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
        """Check that no folder above a file is protected.

        Raises:
            NotAsPlanned: One is.
            OSError: A folder cannot be read.
        """
        if not self._closed:
            return
        parent = Path(os.path.realpath(source.parent))
        for folder in (parent, *parent.parents):
            status = folder.stat()
            closed = self._closed.get((status.st_dev, status.st_ino))
            if closed is not None:
                raise NotAsPlanned(f"{source} lies in {closed}, whose files are never removed")


ActionSteps: TypeAlias = Generator[tuple[int, ...], None, Path | None]
"""Yields descriptors that must be on disk before it continues; returns the file's new path, ``None`` if it is gone."""


@dataclass(frozen=True, slots=True)
class ActionContext:
    """The context that all actions of a run share.

    Attributes:
        run: The name of the run; names of files in between are made from it.
        trusted_roots: Folders that may be reached through links; below them no folder may be one.
        step: Called with the name of each step, before and after it.
        sidecars: Writes the sidecars of keepers; ``None`` for a run that has none to write.
    """

    run: str
    trusted_roots: tuple[Path, ...]
    step: Step = no_step
    sidecars: Sidecars | None = None

    def staged_name(self, number: int) -> str:
        """Return the staged name of a file, in the file's own folder."""
        return f".py-image-dedup-{self.run}-{number}.aside"

    def part_name(self, number: int) -> str:
        """Return the name of an incomplete copy, in the folder of its final name."""
        return f".py-image-dedup-{self.run}-{number}.part"


def with_sidecars(context: ActionContext, history: History, journal: Journal) -> ActionContext:
    """Return a context that writes and restores sidecars, and continues what the journal has about them.

    Args:
        context: The context of the run.
        history: The journal, read.
        journal: The same journal, open.
    """
    merges = {number: entry.action.merge for number, entry in history.entries.items() if entry.action.merge}
    sidecars = Sidecars(context.run, context.trusted_roots, context.step, journal, merges, by_path(history.sidecars))
    return replace(context, sidecars=sidecars)


def perform(action: Action, metadata: FileMetadata, context: ActionContext) -> ActionSteps:
    """Carry out one action.

    Args:
        action: The action.
        metadata: Metadata of the source, as in the journal.
        context: Context of the run.

    Raises:
        NotAsPlanned: The disk is not as planned; nothing was done.
        Stranded: The file is at another place than it should be; the exception says where.
        OSError: The disk refuses; nothing was done.
    """
    with ExitStack() as stack:
        source = stack.enter_context(open_in_dir(action.source.path, context.trusted_roots))
        keeper = stack.enter_context(open_in_dir(action.keeper.path, context.trusted_roots))
        found = stack.enter_context(checked_pair(action, source, keeper))
        checked = CheckedAction(action, metadata, context, source, found)
        if action.merge is None or context.sidecars is None:
            return (yield from _STEPS_BY_KIND[action.kind](checked))
        try:
            context.sidecars.write(action)
            return (yield from _STEPS_BY_KIND[action.kind](checked))
        except NotAsPlanned as error:
            left = context.sidecars.take_back(action.number)
            raise NotAsPlanned(f"{error}; {left}" if left else str(error)) from error
        except BaseException:
            context.sidecars.take_back(action.number)
            raise


@dataclass(frozen=True, slots=True)
class CheckedAction:
    """An action whose source and keeper are as planned."""

    action: Action
    metadata: FileMetadata
    context: ActionContext
    source: NameInDir
    found: CheckedPair

    def set_aside(self) -> NameInDir:
        """Rename the source to its staged name, so that a file that takes its place meanwhile is not touched."""
        self.context.step("stage")
        staged = set_aside(self.source, self.context.staged_name(self.action.number), self.found.stamp)
        self.context.step("staged")
        return staged


def _move(checked: CheckedAction) -> ActionSteps:
    target_path, source, context = checked.action.target, checked.source, checked.context
    if target_path is None:
        raise NotAsPlanned(f"{source.path} has no target")
    trusted_root_of(target_path, context.trusted_roots).mkdir(parents=True, exist_ok=True)
    with open_in_dir(target_path, context.trusted_roots, make=True) as target:
        if target.look() is not None:
            raise NotAsPlanned(f"{target.path} is there already; nothing is ever overwritten")
        context.step("move: rename")
        try:
            rename_new(source, target)
        except FileExistsError as error:
            raise NotAsPlanned(f"{target.path} appeared at the last moment; nothing is ever overwritten") from error
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            context.step("move: renamed")
            if stamp_of(target.lstat()) != checked.found.stamp:
                put_back(target, source)
                raise NotAsPlanned(f"{source.path} was replaced or changed at the last moment")
            return target.path
        return (yield from _move_across(checked, target))


def _move_across(checked: CheckedAction, target: NameInDir) -> ActionSteps:
    """Move to another file system: the source goes when its copy is on the disk, read again, under its final name."""
    context, number = checked.context, checked.action.number
    copy = Copy(target, target.beside(context.part_name(number)), context.step)
    with copy.or_nothing():
        yield from copy.make(checked.found.descriptor, checked.metadata, checked.action.source_digest)
        copy.name_it()
        yield (target.folder,)
        staged = checked.set_aside()
    staged.unlink()
    context.step("unlinked")
    return target.path


class Copy:
    """A copy that appears under its final name whole, verified and never over anything.

    Args:
        target: The final name.
        part: The name while it is made.
        step: Called with the name of each step, before and after it.
    """

    def __init__(self, target: NameInDir, part: NameInDir, step: Step) -> None:
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

    def make(self, source: int, metadata: FileMetadata, digest: bytes) -> Generator[tuple[int, ...], None, None]:
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
            metadata.apply_to(descriptor)
            self._step("copy: written")
            yield (descriptor,)
            self._step("copy: flushed")
            if digest_on_disk(descriptor) != digest:
                raise OSError(errno.EIO, "the disk gives back other bytes than were written", str(self._part.path))
            os.utime(descriptor, ns=(metadata.atime_ns, metadata.mtime_ns))  # reading it again was not its last read
        finally:
            os.close(descriptor)

    def name_it(self) -> None:
        """Rename the copy to its final name.

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


def _delete(checked: CheckedAction) -> ActionSteps:
    yield from ()  # nothing to wait for
    staged = checked.set_aside()
    try:
        checked.found.keeper_is_there()
    except NotAsPlanned:
        put_back(staged, checked.source)
        raise
    staged.unlink()
    checked.context.step("unlinked")
    return None


def _hardlink(checked: CheckedAction) -> ActionSteps:
    yield from ()  # nothing to wait for
    keeper, source, context = checked.found.keeper, checked.source, checked.context
    link = source.beside(context.part_name(checked.action.number))
    context.step("hardlink: link")
    os.link(keeper.name, link.name, src_dir_fd=keeper.folder, dst_dir_fd=link.folder, follow_symlinks=False)
    try:
        context.step("hardlink: linked")
        checked.found.is_keeper(link)
        staged = checked.set_aside()
        try:
            rename_new(link, source)
        except OSError:
            put_back(staged, source)
            raise
    except BaseException:
        link.unlink()
        raise
    context.step("hardlink: named")
    staged.unlink()
    context.step("unlinked")
    return None


def _trash(checked: CheckedAction) -> ActionSteps:
    yield from ()  # nothing to wait for
    checked.context.step("trash: send")
    where = send_to_trash(checked.source, checked.found.stamp)
    checked.context.step("trash: sent")
    return where


_STEPS_BY_KIND: Final[dict[ActionKind, Callable[[CheckedAction], ActionSteps]]] = {
    ActionKind.MOVE: _move,
    ActionKind.QUARANTINE: _move,
    ActionKind.DELETE: _delete,
    ActionKind.TRASH: _trash,
    ActionKind.HARDLINK: _hardlink,
    ActionKind.EXPIRE: _delete,
}


BATCH: Final = 32
"""Number of actions whose intents are flushed together. Each may hold five descriptors; a process has at least 256."""

STOPPED: Final = "not reached: the run was stopped; run again to go on"

_ADVICE: Final = {
    errno.ENOSPC: "make room there and run again",
    errno.EDQUOT: "make room there and run again",
    errno.EFBIG: "the file system takes no file of this size; choose another target",
    errno.EROFS: "mount it for writing and run again",
    errno.EACCES: "give this user the right to write there and run again",
    errno.EPERM: "give this user the right to write there and run again",
    errno.EXDEV: "they are on different file systems; choose another action",
    errno.ENAMETOOLONG: "choose a target directory with a shorter path",
    errno.EIO: "the disk may be failing: look at its health first",
}


@dataclass(frozen=True, slots=True)
class PendingAction:
    """An action whose intent is on the disk.

    Attributes:
        action: What.
        begin: Starts it.
    """

    action: Action
    begin: Callable[[], ActionSteps]


@dataclass(slots=True)
class _Waiting:
    action: Action
    steps: ActionSteps
    descriptors: tuple[int, ...] = ()


def carry_out(
    pending: Iterable[PendingAction],
    finished: Callable[[Outcome], None],
    should_stop: Callable[[], bool],
    verb: str = "removed",
) -> None:
    """Carry out actions; an action that fails has its outcome, and the others continue.

    Args:
        pending: Actions in the order in which they begin; those not begun when ``should_stop`` is true are skipped.
        finished: Called with each outcome. An exception from it ends the batch; actions in progress are reverted.
        should_stop: Returns whether to stop; called before each action begins.
        verb: Past participle used in failure messages: "removed".
    """
    waiting: list[_Waiting] = []
    try:
        for next_action in pending:
            if should_stop():
                finished(Outcome(next_action.action, OutcomeStatus.SKIPPED, message=STOPPED))
                continue
            begun = _Waiting(next_action.action, next_action.begin())
            waiting.append(begun)
            if _advance(begun, finished, verb):
                waiting.remove(begun)
        while waiting:
            failure = _flush_all(waiting)
            waiting = [one for one in waiting if not _advance(one, finished, verb, failure)]
    finally:
        for one in waiting:
            one.steps.close()


def _flush_all(waiting: Iterable[_Waiting]) -> OSError | None:
    try:
        fsync_all(descriptor for one in waiting for descriptor in one.descriptors)
    except OSError as error:
        return error
    return None


def _advance(one: _Waiting, finished: Callable[[Outcome], None], verb: str, failure: OSError | None = None) -> bool:
    """Take the next step of an action; return whether it came to its end."""
    outcome: Outcome
    try:
        one.descriptors = next(one.steps) if failure is None else one.steps.throw(failure)
    except StopIteration as end:
        outcome = Outcome(one.action, OutcomeStatus.DONE, end.value)
    except NotAsPlanned as error:
        outcome = Outcome(one.action, OutcomeStatus.SKIPPED, message=str(error))
    except Stranded as error:
        outcome = Outcome(one.action, OutcomeStatus.FAILED, error.location, str(error))
    except OSError as error:
        outcome = Outcome(one.action, OutcomeStatus.FAILED, message=error_message(error, one.action, verb))
    else:
        return False
    finished(outcome)
    return True


def error_message(error: OSError, action: Action, verb: str = "removed") -> str:
    """Return the message for an error of the system: what failed, why, and what to do."""
    cause = error.strerror or str(error) or type(error).__name__
    where = f" ({error.filename})" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, "it stays where it is")
    return f"{action.source.path} could not be {verb} ({action.kind.value}): {cause}{where}; {advice}"

"""Restores one removed file.

A restorer reads the disk first, whatever the journal says, so that it can be killed at any step and called again.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from py_image_dedup.model.plan import ActionKind
from py_image_dedup.removal.actions import ActionContext, ActionSteps, Copy
from py_image_dedup.removal.filesystem import (
    NameInDir,
    NotAsPlanned,
    digest_of,
    is_file,
    open_in_dir,
    put_back,
    rename_new,
    set_aside,
    stamp_of,
    trusted_root_of,
)
from py_image_dedup.removal.journal import JOURNAL_NAME, Entry, History, JournalError, State, read_history
from py_image_dedup.removal.trash import find_in_trash, info_file


class Restorer:
    """Restores one file.

    Args:
        entry: Entry of the journal.
        context: Context of the run.
        copies: Locator of files with a digest.
    """

    def __init__(self, entry: Entry, context: ActionContext, copies: Callable[[bytes], Iterator[Path]]) -> None:
        self._entry = entry
        self._action = entry.action
        self._context = context
        self._copies = copies

    def steps(self) -> ActionSteps:
        """Return the steps that restore the file; they return its path.

        Raises:
            NotAsPlanned: The file cannot be restored; the message says why and where it is.
            Stranded: It is between its places.
            OSError: The disk refuses.
        """
        source = self._action.source.path
        root = trusted_root_of(source, self._context.trusted_roots)
        if not root.is_dir():
            raise NotAsPlanned(f"{root} is not there; mount it and undo again to get {source} back")
        with open_in_dir(source, self._context.trusted_roots, make=True) as place:
            where = self._entry.location
            if where is None and self._action.kind is ActionKind.TRASH:
                where = find_in_trash(source, self._action.source.stamp)
            if where is not None:
                yield from self._from(where, place)
            elif self._action.kind is ActionKind.HARDLINK:
                yield from self._break_link(place)
            else:
                yield from self._copy_back(place)
        return source

    def obstacle(self) -> str | None:
        """Return what keeps the file from its place: another file there; ``None`` if the place is free or its own."""
        source = self._action.source.path
        with _open_or_none(source, self._context.trusted_roots) as place:
            if place is None or place.look() is None or self._is_whole(place):
                return None
            return str(self._occupied(place, self._entry.location))

    def _from(self, where: Path, place: NameInDir) -> ActionSteps:
        """Move the file back from where it was moved to."""
        with _open_or_none(where, self._context.trusted_roots) as moved:
            if moved is None:
                return (yield from self._copy_back(place))
            staged = moved.beside(self._context.staged_name(self._action.number))
            if staged.path != moved.path and moved.look() is None and staged.look() is not None:
                self._context.step("undo: put back")
                put_back(staged, moved)
            status = moved.look()
            if status is None:
                yield from self._copy_back(place)
            elif place.look() is not None:
                self._finish(moved, status, place)
            else:
                self._check_moved(moved, status)
                yield from self._move_back(moved, status, place)
            if self._action.kind is ActionKind.TRASH and moved.look() is None:
                with suppress(FileNotFoundError):
                    info_file(where).unlink()
        return None

    def _check_moved(self, moved: NameInDir, status: os.stat_result) -> None:
        """Check that the file is the one that was moved there; inodes are reused and prove nothing."""
        planned = self._action.source
        untouched = (status.st_size, status.st_mtime_ns) == planned.stamp[:2]
        if is_file(status) and (untouched or self._is_whole(moved)):
            return
        raise NotAsPlanned(
            f"{moved.path} is another file now, or was changed; look at it and move it to {planned.path}"
        )

    def _move_back(self, moved: NameInDir, status: os.stat_result, place: NameInDir) -> ActionSteps:
        self._context.step("undo: rename")
        try:
            rename_new(moved, place)
        except FileExistsError as error:
            raise self._occupied(place, moved.path) from error
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            self._context.step("undo: renamed")
            self._give_times(place)
            return None
        descriptor = moved.open()
        try:
            copy = self._copy(place)
            with copy.or_nothing():
                yield from copy.make(descriptor, self._entry.metadata, self._action.source_digest)
                copy.name_it()
                yield (place.folder,)
                staged = self._stage(moved, status)
            staged.unlink()
            self._context.step("undo: unlinked")
        finally:
            os.close(descriptor)
        return None

    def _stage(self, moved: NameInDir, status: os.stat_result) -> NameInDir:
        name = self._context.staged_name(self._action.number)
        if moved.name == name:
            return moved
        staged = set_aside(moved, name, stamp_of(status))
        self._context.step("undo: staged")
        return staged

    def _finish(self, moved: NameInDir, status: os.stat_result, place: NameInDir) -> None:
        """Remove the name in the target if both exist because an undo was killed in between."""
        now = place.lstat()
        if os.path.samestat(now, status) or (
            self._entry.state is State.UNDOING and self._is_whole(place) and self._is_whole(moved)
        ):
            self._stage(moved, status).unlink()
            self._context.step("undo: unlinked")
            return
        raise self._occupied(place, moved.path)

    def _copy_back(self, place: NameInDir) -> ActionSteps:
        """Restore the file from another one with its bytes."""
        status = place.look()
        if status is not None:
            if self._is_whole(place):
                self._give_times(place)
                self._clear(place)
                return None
            raise self._occupied(place, None)
        with self._any_copy() as descriptor:
            self._clear(place)
            copy = self._copy(place)
            with copy.or_nothing():
                yield from copy.make(descriptor, self._entry.metadata, self._action.source_digest)
                copy.name_it()
                yield (place.folder,)
        return None

    def _break_link(self, place: NameInDir) -> ActionSteps:
        """Replace the hard link of the keeper by a file of its own."""
        staged = place.beside(self._context.staged_name(self._action.number))
        if place.look() is None and staged.look() is not None:
            self._context.step("undo: put back")
            put_back(staged, place)
        status = place.look()
        if status is None:
            return (yield from self._copy_back(place))
        if not self._is_whole(place):
            raise NotAsPlanned(f"{place.path} was changed since it became a hard link; it stays as it is")
        left_staged = staged.look()
        if left_staged is None and status.st_nlink > 1:
            yield from self._replace_link(place, status)
        else:
            self._give_times(place)
            self._clear(place)
            if left_staged is not None:
                self._context.step("undo: unlink")
                staged.unlink()
        return None

    def _replace_link(self, place: NameInDir, status: os.stat_result) -> ActionSteps:
        self._clear(place)
        part = place.beside(self._context.part_name(self._action.number))
        descriptor = place.open()
        try:
            # the copy gets its final name by hand: the link has that name until the copy is on the disk
            copy = Copy(part, part, self._context.step)
            with copy.or_nothing():
                yield from copy.make(descriptor, self._entry.metadata, self._action.source_digest)
                staged = self._stage(place, status)
                try:
                    rename_new(part, place)
                except OSError:
                    put_back(staged, place)
                    raise
        finally:
            os.close(descriptor)
        self._context.step("undo: named")
        yield (place.folder,)
        staged.unlink()
        self._context.step("undo: unlinked")
        return None

    def _copy(self, place: NameInDir) -> Copy:
        self._clear(place)
        return Copy(place, place.beside(self._context.part_name(self._action.number)), self._context.step)

    def _clear(self, place: NameInDir) -> None:
        """Remove the incomplete copy of a killed undo."""
        part = place.beside(self._context.part_name(self._action.number))
        if part.look() is not None:
            self._context.step("undo: clear")
            part.unlink()

    @contextmanager
    def _any_copy(self) -> Iterator[int]:
        digest, source = self._action.source_digest, self._action.source.path
        first = [self._action.keeper.path] if self._action.keeper_digest == digest else []
        for path in (*first, *self._copies(digest)):
            if path == source:
                continue
            with _open_or_none(path, self._context.trusted_roots) as place:
                if place is None or not self._is_whole(place):
                    continue
                descriptor = place.open()
                try:
                    yield descriptor
                finally:
                    os.close(descriptor)
                return
        raise NotAsPlanned(lost_message(self._entry))

    def _is_whole(self, place: NameInDir) -> bool:
        """Return whether a file has the bytes that the source had."""
        status = place.look()
        if status is None or not is_file(status) or status.st_size != self._action.source.size:
            return False
        try:
            descriptor = place.open()
        except OSError:
            return False
        try:
            return digest_of(descriptor) == self._action.source_digest
        finally:
            os.close(descriptor)

    def _give_times(self, place: NameInDir) -> None:
        """Restore the times and the mode of a file, if something changed them meanwhile."""
        status = place.lstat()
        metadata = self._entry.metadata
        if (status.st_mtime_ns, stat.S_IMODE(status.st_mode)) == (metadata.mtime_ns, metadata.mode):
            return
        if not self._is_whole(place):
            return
        descriptor = place.open()
        try:
            metadata.apply_to(descriptor)
        finally:
            os.close(descriptor)

    def _occupied(self, place: NameInDir, where: Path | None) -> NotAsPlanned:
        kept = "its keeper has its bytes" if where is None else f"the removed one stays at {where}"
        return NotAsPlanned(f"something else is at {place.path} now; {kept}")


def lost_message(entry: Entry) -> str:
    """Return why the bytes of a removed file are nowhere any more."""
    action = entry.action
    if entry.expired:
        return f"{action.source.path} was deleted from the quarantine when its time was over"
    if action.kind is ActionKind.TRASH:
        return f"{action.source.path} was not found in the trash; look for it there"
    if action.kind is ActionKind.DELETE and action.keeper_digest != action.source_digest:
        return f"{action.source.path} was deleted immediately, and no file with its bytes is known"
    where = entry.location or action.keeper.path
    name = action.source.path.name
    return f"{where} is not there any more or was changed; no other file with the bytes of {name} is known"


@contextmanager
def _open_or_none(path: Path, trusted_roots: tuple[Path, ...]) -> Iterator[NameInDir | None]:
    """Open the folder of a path, or return ``None`` if that fails."""
    with ExitStack() as stack:
        place: NameInDir | None = None
        with suppress(NotAsPlanned, OSError):
            place = stack.enter_context(open_in_dir(path, trusted_roots))
        yield place


class CopyLocator:
    """Finds files by digest, in the journal of a run and then in those of the other runs.

    Not to be shared between threads.

    Args:
        run_directory: The folder of the run.
        history: Its journal, read.
    """

    def __init__(self, run_directory: Path, history: History) -> None:
        self._directory = run_directory
        self._own = _places(history)
        self._others: dict[bytes, list[Path]] | None = None

    def of(self, digest: bytes) -> Iterator[Path]:
        """Yield paths where a file with these bytes was at some time, the most likely first."""
        yield from self._own.get(digest, ())
        if self._others is None:
            self._others = self._read_others()
        yield from self._others.get(digest, ())

    def _read_others(self) -> dict[bytes, list[Path]]:
        found: dict[bytes, list[Path]] = {}
        for journal in sorted(self._directory.parent.glob(f"*/{JOURNAL_NAME}"), reverse=True):
            if journal.parent.name == self._directory.name:
                continue
            try:
                places = _places(read_history(journal.parent))
            except JournalError:
                continue  # of a newer version: its places are not known to this one
            for digest, paths in places.items():
                found.setdefault(digest, []).extend(paths)
        return found


def _places(history: History) -> dict[bytes, list[Path]]:
    found: dict[bytes, dict[Path, None]] = {}
    for entry in history.entries.values():
        action = entry.action
        found.setdefault(action.keeper_digest, {})[action.keeper.path] = None
        here = found.setdefault(action.source_digest, {})
        if entry.location is not None:
            here[entry.location] = None
        here[action.source.path] = None
    return {digest: list(paths) for digest, paths in found.items()}

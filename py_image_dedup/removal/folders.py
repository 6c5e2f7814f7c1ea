"""Folders that a run emptied: removed by the run, created again by an undo."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from py_image_dedup.model.plan import ActionKind, Outcome, OutcomeStatus, Plan
from py_image_dedup.removal.filesystem import FileMetadata, NotAsPlanned, open_in_dir
from py_image_dedup.removal.journal import History, Journal, Step, no_step, read_history


def prune(plan: Plan, outcomes: Sequence[Outcome], run_directory: Path, *, step: Step = no_step) -> tuple[Path, ...]:
    """Remove the folders that this run emptied, and those above them that become empty by it.

    Never a root, protected or not, and no folder with anything in it, hidden or not: a marker such as ``.stfolder``
    keeps its folder. No file under a protected folder is removed, so none there is emptied.

    Args:
        plan: Plan of the run.
        outcomes: Outcomes of its actions.
        run_directory: The folder of the run, whose journal records each folder before and after.
        step: Called with the name of each step, before and after it.

    Returns:
        The folders that are gone, in the order in which they went.

    Raises:
        JournalError: The journal cannot be written; nothing more was removed.
    """
    level = {
        outcome.action.source.path.parent
        for outcome in outcomes
        if outcome.status is OutcomeStatus.DONE and outcome.action.kind not in {ActionKind.HARDLINK, ActionKind.EXPIRE}
    }
    if not level:
        return ()
    seen = set(read_history(run_directory).folders)
    gone: list[Path] = []
    with Journal.of(plan, run_directory) as journal:
        while level := {folder for folder in level if _may_go(folder, plan) and _is_empty(folder)}:
            # the deepest first, so that one whose only content they are is looked at when they are gone
            depth = max(len(folder.parts) for folder in level)
            now = sorted(folder for folder in level if len(folder.parts) == depth)
            _tell(now, journal, seen)
            step("prune: intents written")
            journal.flush()
            removed = [folder for folder in now if _remove(folder, plan, journal, step)]
            gone.extend(removed)
            level = (level - set(now)) | {folder.parent for folder in removed}
        journal.flush()
    return tuple(gone)


def _may_go(folder: Path, plan: Plan) -> bool:
    parents = folder.parents
    return folder not in plan.roots and folder != plan.target_directory and any(root in parents for root in plan.roots)


def _is_empty(folder: Path) -> bool:
    try:
        with os.scandir(folder) as names:
            return not folder.is_symlink() and next(names, None) is None
    except OSError:
        return False  # gone, or not to be looked at: it stays


def _tell(folders: Iterable[Path], journal: Journal, seen: set[Path]) -> None:
    for folder in folders:
        if folder.parent not in seen:
            seen.add(folder.parent)
            journal.record_folder("folder", folder.parent, FileMetadata.of(folder.parent))
        journal.record_folder("prune", folder, FileMetadata.of(folder))


def _remove(folder: Path, plan: Plan, journal: Journal, step: Step) -> bool:
    try:
        with open_in_dir(folder, plan.roots) as place:
            step("prune: rmdir")
            os.rmdir(place.name, dir_fd=place.folder)
            step("prune: removed")
    except (OSError, NotAsPlanned):
        journal.record_folder_mark("kept", folder)  # something came into it, or it is a mount point
        return False
    journal.record_folder_mark("pruned", folder)
    return True


def remake_folders(history: History, step: Step = no_step) -> None:
    """Create the folders that a run removed, outermost first; a failure shows at the files in it."""
    for folder in sorted(history.pruned, key=lambda path: len(path.parts)):
        if os.path.lexists(folder):
            continue
        with suppress(OSError, NotAsPlanned), open_in_dir(folder, history.trusted_roots) as place:
            step("undo: make folder")
            os.mkdir(place.name, dir_fd=place.folder)


def restore_metadata(folders: Iterable[Path], history: History, journal: Journal) -> None:
    """Restore the modes, owners and times of folders that were created again, when everything in them is restored.

    Innermost first: what is done in a folder changes its time.
    """
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        metadata = history.folders.get(folder) or history.pruned.get(folder)
        if metadata is None or not folder.is_dir() or folder.is_symlink():
            continue
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                metadata.apply_to(descriptor)
            finally:
                os.close(descriptor)
        if folder in history.pruned:
            journal.record_folder_mark("restored", folder)


def remove_if_empty(folders: Iterable[Path]) -> None:
    """Remove empty folders that were created for moved files, innermost first."""
    for folder in sorted(set(folders), key=lambda path: len(path.parts), reverse=True):
        with suppress(OSError):
            folder.rmdir()

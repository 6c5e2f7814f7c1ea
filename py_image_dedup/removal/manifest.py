"""The manifest in each run's folder of a quarantine, which survives the loss of the state directory.

A manifest has one line for each file that the run meant to put there, in the form of the journal's intents. It is on
the disk before the first of these files is moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from py_image_dedup.model.plan import QUARANTINE_NAME, Action
from py_image_dedup.removal.filesystem import FileMetadata, fsync, open_in_dir
from py_image_dedup.removal.journal import Entry, IntentRecord, State, now, to_line
from py_image_dedup.removal.serialization import RunName, Time, action_record, from_json, metadata_record

MANIFEST_NAME: Final = ".py-image-dedup-manifest.jsonl"
"""Name of the file in a run's folder of a quarantine."""

MANIFEST_VERSION: Final = 1
"""Version of the format. A reader passes over lines of a newer one."""

OWN_PREFIX: Final = ".py-image-dedup-"
"""Beginning of the names of files that are the program's own: manifests, staged files, incomplete copies."""

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class ManifestRecord(IntentRecord, frozen=True, kw_only=True):
    """A file that a run meant to put into quarantine: a line of a manifest.

    Attributes:
        version: Version of the format.
        run: The name of the run.
        at: When.
    """

    version: Literal[1]
    run: RunName
    at: Time


def run_folder_of(root: Path, target: Path) -> Path:
    """Return the folder of its run that a path in the quarantine of a root is in."""
    return root.joinpath(*target.relative_to(root).parts[:2])


def write_manifest(
    folder: Path, run: str, intents: Iterable[tuple[Action, FileMetadata]], trusted_roots: Sequence[Path]
) -> None:
    """Append files to the manifest of a run and wait until they are on the disk.

    Args:
        folder: The run's folder in a quarantine; made if it is not there.
        run: The name of the run.
        intents: The actions with what their files have besides their bytes.
        trusted_roots: Folders that may be reached through links.

    Raises:
        NotAsPlanned: A link or a file is in the way.
        OSError: The manifest cannot be written.
    """
    with open_in_dir(folder / MANIFEST_NAME, trusted_roots, make=True) as place:
        descriptor = os.open(place.name, _APPEND, 0o600, dir_fd=place.folder)
        try:
            lines = b"".join(to_line(_record(run, action, metadata)) for action, metadata in intents)
            while lines:
                lines = lines[os.write(descriptor, lines) :]
            fsync(descriptor)
            fsync(place.folder)
        finally:
            os.close(descriptor)


def _record(run: str, action: Action, metadata: FileMetadata) -> ManifestRecord:
    return ManifestRecord(
        kind="intent",
        number=action.number,
        action=action_record(action),
        facts=metadata_record(metadata),
        version=MANIFEST_VERSION,
        run=run,
        at=now(),
    )


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest knows.

    Attributes:
        run: The name of the run.
        entries: By path in the quarantine, as the journal would have them.
    """

    run: str
    entries: Mapping[Path, Entry]


def read_manifest(root: Path, folder: Path) -> Manifest:
    """Read the manifest of a run's folder; one that is not there, and lines that cannot be read, are left out.

    Args:
        root: The root whose quarantine it is. Where it has another path now, the paths below it are adapted.
        folder: The run's folder in the quarantine.
    """
    entries: dict[Path, Entry] = {}
    run = folder.name
    with suppress(OSError), (folder / MANIFEST_NAME).open("rb") as lines:
        for line in lines:
            with suppress(ValueError):  # also of another version
                record = from_json(json.loads(line), ManifestRecord)
                action = _below(root, record.action.to_action())
                if action.target is None or folder not in action.target.parents:
                    continue
                run = record.run
                entries[action.target] = Entry(
                    action=action,
                    metadata=record.facts.to_metadata(),
                    state=State.DONE,
                    location=action.target,
                    finished_at=record.at,
                )
    return Manifest(run, entries)


def _below(root: Path, action: Action) -> Action:
    """Return an action with its paths below another root, if the root was moved or is mounted elsewhere."""
    if action.root == root:
        return action

    def moved(path: Path) -> Path:
        return root / path.relative_to(action.root) if path.is_relative_to(action.root) else path

    return replace(
        action,
        root=root,
        source=replace(action.source, path=moved(action.source.path)),
        keeper=replace(action.keeper, path=moved(action.keeper.path)),
        target=None if action.target is None else moved(action.target),
    )


def run_folders(root: Path) -> tuple[Path, ...]:
    """Return the folders of runs in the quarantine of a root, by name; none if there is no quarantine."""
    quarantine = root / QUARANTINE_NAME
    try:
        if quarantine.is_symlink():
            return ()
        return tuple(sorted(one for one in quarantine.iterdir() if one.is_dir() and not one.is_symlink()))
    except OSError:
        return ()


def files_in(folder: Path) -> tuple[Path, ...]:
    """Return the files of a run's folder without the program's own, by path."""
    found = []
    for above, _, names in os.walk(folder):
        found += [Path(above, name) for name in names if not name.startswith(OWN_PREFIX)]
    return tuple(sorted(found))


def tidy_run_folder(folder: Path) -> None:
    """Remove what is empty below a run's folder; with its last file the manifest, the folder and the quarantine go."""
    if folder.is_symlink() or not folder.is_dir():
        return
    below = [Path(above) for above, _, _ in os.walk(folder)]
    for each in sorted(below, key=lambda path: len(path.parts), reverse=True):
        if each == folder:
            with suppress(OSError):
                if {name.name for name in folder.iterdir()} == {MANIFEST_NAME}:
                    (folder / MANIFEST_NAME).unlink()
        with suppress(OSError):
            each.rmdir()
    with suppress(OSError):
        folder.parent.rmdir()


def tidy_quarantines(roots: Iterable[Path]) -> None:
    """Remove run folders without files, as a killed run leaves them."""
    for root in roots:
        for folder in run_folders(root):
            if not any(any(not name.startswith(OWN_PREFIX) for name in names) for _, _, names in os.walk(folder)):
                tidy_run_folder(folder)

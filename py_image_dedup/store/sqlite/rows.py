"""Entries as rows and back."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Signature, Versions
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.sqlite.database import Database, Row
from py_image_dedup.store.sqlite.sqlite_errors import START_ANEW

_LARGEST = 2**63 - 1
WORD: Final = 2**64
"""Device and inode numbers have 64 bits without a sign, SQLite's integers have one: read them modulo this."""

_CONTENT = """
    c.digest, c.format, c.width, c.height, c.exif_fields, c.captured, c.camera, c.has_gps, c.frames,
    c.signature, c.pixel_digest
"""
_OF_FILE = f"""
    SELECT f.path, f.content, f.size, f.mtime_ns, f.device, f.inode, f.versions,
        coalesce(f.failure_phase, c.failure_phase), coalesce(f.failure_reason, c.failure_reason),
        coalesce(f.failure_message, c.failure_message), {_CONTENT}
"""
ENTRY = f"""
    {_OF_FILE} FROM files f
    LEFT JOIN contents c ON c.number = f.content
"""
"""Rows for ``entry_of`` from ``files f``; a ``WHERE`` and an ``ORDER BY`` may follow, here and below."""

FIRST_ENTRY = f"""
    {_OF_FILE} FROM contents c
    CROSS JOIN files f ON f.path = (SELECT path FROM files WHERE content = c.number ORDER BY path LIMIT 1)
"""  # noqa: S608 - constants
"""The same of the first file of each of ``contents c``. A cross join is one whose order SQLite keeps."""

DEPARTED_ENTRY = f"""
    SELECT f.path, f.content, f.size, f.mtime_ns, f.device, f.inode, c.versions,
        c.failure_phase, c.failure_reason, c.failure_message, {_CONTENT}
    FROM contents c CROSS JOIN departed f ON f.content = c.number
"""  # noqa: S608 - constants
"""The same of each of ``contents c`` that a file had once, in the file where it was last seen."""


class VersionTable(dict[int, Versions]):
    """The versions by their id: equal ones are the same object. An id that another process added is looked up."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    def __missing__(self, version_id: int) -> Versions:
        """Read the table again."""
        for known_id, *versions in self._database.rows("SELECT id, media, signature, features FROM versions"):
            if known_id not in self:
                self[known_id] = Versions(*versions)
        if version_id not in self:
            raise damaged(self._database.path, f"no versions {version_id}")
        return self[version_id]

    def id_of(self, versions: Versions) -> int:
        """Return the id of these versions, a new one if need be. Call it inside a transaction."""
        values = (versions.media, versions.signature, versions.features)
        self._database.execute("INSERT OR IGNORE INTO versions (media, signature, features) VALUES (?, ?, ?)", values)
        found: int = self._database.rows(
            "SELECT id FROM versions WHERE media = ? AND signature = ? AND features = ?", values
        )[0][0]
        return found


def entry_of(row: Row, versions: VersionTable, path: Path) -> IndexEntry:
    """Make an entry of a row of ``ENTRY``.

    Raises:
        StoreError: The row cannot have been written by this program: the index ``path`` is damaged.
    """
    try:
        return _entry_of(row, versions)
    except (ValueError, TypeError) as error:
        raise damaged(path, str(error)) from error


def _entry_of(row: Row, versions: VersionTable) -> IndexEntry:
    (
        raw_path, _, size, mtime_ns, device, inode, version_id, phase, reason, message,
        digest, form, width, height, exif_fields, captured, camera, has_gps, frames, signature, pixel_digest,
    ) = row  # fmt: skip
    stat = FileStat(Path(os.fsdecode(raw_path)), size, mtime_ns, device % WORD, inode % WORD)
    facts = None
    if form is not None:
        facts = PhotoFacts(
            format=_text(form),
            width=width,
            height=height,
            exif_fields=exif_fields,
            captured=None if captured is None else datetime.fromisoformat(captured),
            camera=None if camera is None else _text(camera),
            has_gps=bool(has_gps),
            frames=frames,
        )
    failure = None
    if reason is not None:
        failure = Failure(stat.path, Phase(phase), FailureReason(reason), _text(message))
    return IndexEntry(
        stat=stat,
        versions=versions[version_id],
        digest=digest,
        facts=facts,
        signature=None if signature is None else Signature(signature),
        pixel_digest=pixel_digest,
        failure=failure,
    )


def file_row(raw_path: bytes, entry: IndexEntry, version_id: int, number: int | None) -> Row:
    """Make the row of ``files``: the failure of a file without a digest is its own, others belong to the content."""
    stat = entry.stat
    failure = _failure_row(entry) if number is None else (None, None, None)
    stored = (_clipped(stat.size), _clipped(stat.mtime_ns), _signed(stat.device), _signed(stat.inode))
    return (raw_path, *stored, version_id, number, *failure)


def content_row(entry: IndexEntry, version_id: int, number: int) -> Row:
    """Make the row of ``contents``."""
    facts = entry.facts
    signature = None if entry.signature is None else entry.signature.values
    described: Row = (None,) * 8
    if facts is not None:
        captured = None if facts.captured is None else facts.captured.isoformat()
        camera = None if facts.camera is None else _stored_text(facts.camera)
        described = (
            _stored_text(facts.format), facts.width, facts.height, facts.exif_fields, captured, camera,
            facts.has_gps, facts.frames,
        )  # fmt: skip
    return (number, entry.digest, version_id, *described, signature, entry.pixel_digest, *_failure_row(entry))


def damaged(path: Path, cause: str) -> StoreError:
    """Return the error for rows that make no sense."""
    return StoreError(f"The index {path} is damaged ({cause}). {START_ANEW}")


def _failure_row(entry: IndexEntry) -> Row:
    failure = entry.failure
    if failure is None:
        return (None, None, None)
    return (failure.phase.value, failure.reason.value, _stored_text(failure.message))


def _stored_text(text: str) -> str | bytes:
    """Text that came from a file name may have halves of surrogates, which are not Unicode: kept as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _text(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")


def _signed(value: int) -> int:
    return value if value <= _LARGEST else value - WORD


def _clipped(value: int) -> int:
    """A time after the year 2262 is kept as the last that fits: the file then looks changed to each run, at no risk."""
    return value if -_LARGEST <= value <= _LARGEST else max(-_LARGEST, min(_LARGEST, value))

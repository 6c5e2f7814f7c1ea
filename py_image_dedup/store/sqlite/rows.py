"""Entries as rows of the SQLite index, and their insertion."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Signature, Versions
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.sqlite.database import START_ANEW, Database, Row

_LARGEST = 2**63 - 1
WORD: Final = 2**64
"""Device and inode numbers are unsigned 64-bit integers, those of SQLite are signed: read them modulo this."""

_CONTENT = """
    c.digest, c.format, c.width, c.height, c.exif_fields, c.captured, c.camera, c.has_gps, c.frames,
    c.signature, c.pixel_digest, c.image_data_digest, c.marks
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
"""Query for rows of ``entry_of`` from ``files f``; a ``WHERE`` and an ``ORDER BY`` may follow, here and below."""

FIRST_ENTRY = f"""
    {_OF_FILE} FROM contents c
    CROSS JOIN files f ON f.path = (SELECT path FROM files WHERE content = c.number ORDER BY path LIMIT 1)
"""  # noqa: S608 - constants
"""The same query for the first file of each of ``contents c``. SQLite keeps the order of a cross join."""

DEPARTED_ENTRY = f"""
    SELECT f.path, f.content, f.size, f.mtime_ns, f.device, f.inode, c.versions,
        c.failure_phase, c.failure_reason, c.failure_message, {_CONTENT}
    FROM contents c CROSS JOIN departed f ON f.content = c.number
"""  # noqa: S608 - constants
"""The same query for each of ``contents c`` that has lost a file, with the file where it was last seen."""


class VersionTable(dict[int, Versions]):
    """Versions by id; equal versions are the same object. Ids that another process added are looked up."""

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
        """Return the id of versions, a new one if necessary. Call it inside a transaction."""
        values = (versions.media, versions.signature, versions.features)
        self._database.execute("INSERT OR IGNORE INTO versions (media, signature, features) VALUES (?, ?, ?)", values)
        found: int = self._database.rows(
            "SELECT id FROM versions WHERE media = ? AND signature = ? AND features = ?", values
        )[0][0]
        return found


def entry_of(row: Row, versions: VersionTable, path: Path) -> IndexEntry:
    """Return the entry of a row of ``ENTRY``.

    Raises:
        StoreError: The row cannot have been written by this program: the index at ``path`` is damaged.
    """
    try:
        return _entry_of(row, versions)
    except (ValueError, TypeError) as error:
        raise damaged(path, str(error)) from error


def _entry_of(row: Row, versions: VersionTable) -> IndexEntry:
    (
        raw_path, _, size, mtime_ns, device, inode, version_id, phase, reason, message,
        digest, form, width, height, exif_fields, captured, camera, has_gps, frames, signature, pixel_digest,
        image_data_digest, marks,
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
        ).with_marks(marks)
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
        image_data_digest=image_data_digest,
    )


def file_row(raw_path: bytes, entry: IndexEntry, version_id: int, content_id: int | None) -> Row:
    """Return the row of ``files``: it has the failure of a file without a digest; others belong to the content."""
    stat = entry.stat
    failure = _failure_row(entry) if content_id is None else (None, None, None)
    stored = (_clipped(stat.size), _clipped(stat.mtime_ns), _signed(stat.device), _signed(stat.inode))
    return (raw_path, *stored, version_id, content_id, *failure)


def content_row(entry: IndexEntry, version_id: int, content_id: int) -> Row:
    """Return the row of ``contents``."""
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
    digests = (entry.pixel_digest, *_failure_row(entry), entry.image_data_digest)
    marks = None if facts is None else facts.marks
    return (content_id, entry.digest, version_id, *described, signature, *digests, marks)


def damaged(path: Path, cause: str) -> StoreError:
    """Return the error for rows that this program cannot have written."""
    return StoreError(f"The index {path} is damaged ({cause}). {START_ANEW}")


def _failure_row(entry: IndexEntry) -> Row:
    failure = entry.failure
    if failure is None:
        return (None, None, None)
    return (failure.phase.value, failure.reason.value, _stored_text(failure.message))


def _stored_text(text: str) -> str | bytes:
    """Return text as it is stored: as bytes if it has lone surrogates, as text from a file name may have."""
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
    """Return a value as it is stored: a time after the year 2262 is clipped, so that the file always looks changed."""
    return value if -_LARGEST <= value <= _LARGEST else max(-_LARGEST, min(_LARGEST, value))


MAX_CONTENT_ID: Final = 2**32 - 1
"""Content ids have 32 bits in the stored pairs; exceeding this raises ``StoreError``."""

_PUT_CONTENT = """
    INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET
        versions = excluded.versions, format = excluded.format, width = excluded.width, height = excluded.height,
        exif_fields = excluded.exif_fields, captured = excluded.captured, camera = excluded.camera,
        has_gps = excluded.has_gps, frames = excluded.frames, signature = excluded.signature,
        pixel_digest = excluded.pixel_digest, failure_phase = excluded.failure_phase,
        failure_reason = excluded.failure_reason, failure_message = excluded.failure_message,
        image_data_digest = excluded.image_data_digest, marks = excluded.marks
"""
_PUT_FILE = """
    INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (path) DO UPDATE SET
        size = excluded.size, mtime_ns = excluded.mtime_ns, device = excluded.device, inode = excluded.inode,
        versions = excluded.versions, content = excluded.content, failure_phase = excluded.failure_phase,
        failure_reason = excluded.failure_reason, failure_message = excluded.failure_message
"""
_RENUMBER = (
    # The contents first: the trigger on files must not take the content for one without a file.
    ("DELETE FROM contents WHERE number = ?", 1),
    ("DELETE FROM features WHERE content = ?", 1),
    ("DELETE FROM words WHERE content = ?", 1),
    ("DELETE FROM unsearched WHERE number = ?", 1),
    ("DELETE FROM crowded WHERE number = ?", 1),
    ("UPDATE departed SET content = ?2 WHERE content = ?1", 2),
    ("UPDATE files SET content = ?2 WHERE content = ?1", 2),
)


@dataclass(frozen=True, slots=True)
class _Assignment:
    """The content ids of a batch.

    Attributes:
        content_ids: Content id by digest.
        renumbered: ``(old, new)`` content ids of contents with a changed signature.
        redated: ``(content id, id of versions)`` of contents with changed versions.
        first_new: The first new content id.
        next: The content id after the last one.
    """

    content_ids: Mapping[bytes, int]
    renumbered: Sequence[tuple[int, int]]
    redated: Sequence[tuple[int, int]]
    first_new: int
    next: int


def put_entries(database: Database, versions: VersionTable, entries: Mapping[bytes, IndexEntry]) -> None:
    """Insert or replace entries by raw path, inside a transaction of the caller.

    Raises:
        ValueError: An entry without a digest has facts, a signature or the like, which only a content can have.
        StoreError: The content ids are used up.
    """
    ids = {made_with: versions.id_of(made_with) for made_with in {entry.versions for entry in entries.values()}}
    contents = {entry.digest: entry for entry in entries.values() if entry.digest is not None}
    assignment = _assign_content_ids(database, contents, ids)
    _put_contents(database, contents, ids, assignment)
    content_ids = assignment.content_ids
    rows = [
        file_row(raw, entry, ids[entry.versions], _content_id_of(entry, content_ids)) for raw, entry in entries.items()
    ]
    database.execute_many(_PUT_FILE, rows)


def _content_id_of(entry: IndexEntry, content_ids: Mapping[bytes, int]) -> int | None:
    if entry.digest is not None:
        return content_ids[entry.digest]
    if entry.describes_picture:
        raise ValueError(f"the entry of {entry.stat.path} describes a picture and has no digest")
    return None


def _assign_content_ids(
    database: Database, contents: Mapping[bytes, IndexEntry], ids: Mapping[Versions, int]
) -> _Assignment:
    content_ids: dict[bytes, int] = {}
    renumbered: list[tuple[int, int]] = []
    redated: list[tuple[int, int]] = []
    first = following = int(database.index_value("next_number"))
    known = database.rows_in("SELECT digest, number, versions, signature FROM contents WHERE digest IN (?)", contents)
    for digest, content_id, version_id, signature in known:
        entry = contents[digest]
        content_ids[digest] = content_id
        # The search stores its results by content id, so a changed signature gets a new one.
        if signature != (entry.signature and entry.signature.values):
            content_ids[digest] = following
            renumbered.append((content_id, following))
            following += 1
        if version_id != ids[entry.versions]:
            redated.append((content_ids[digest], ids[entry.versions]))
    for digest in contents:
        if digest not in content_ids:
            content_ids[digest] = following
            following += 1
    if following > MAX_CONTENT_ID:
        raise StoreError(f"The index {database.path} has used up its content ids. {START_ANEW}")
    return _Assignment(content_ids, renumbered, redated, first, following)


def _put_contents(
    database: Database, contents: Mapping[bytes, IndexEntry], ids: Mapping[Versions, int], assignment: _Assignment
) -> None:
    content_ids = assignment.content_ids
    for statement, width in _RENUMBER if assignment.renumbered else ():
        database.execute_many(statement, (change[:width] for change in assignment.renumbered))
    database.execute_many(
        _PUT_CONTENT,
        (content_row(entry, ids[entry.versions], content_ids[digest]) for digest, entry in contents.items()),
    )
    _put_features(database, contents, assignment)
    # All files of a content that was computed anew have its new versions.
    database.execute_many("UPDATE files SET versions = ?2 WHERE content = ?1", assignment.redated)
    unsearched = (
        (content_ids[digest],)
        for digest, entry in contents.items()
        if entry.signature is not None and content_ids[digest] >= assignment.first_new
    )
    database.execute_many("INSERT INTO unsearched VALUES (?)", unsearched)
    database.set_index_value("next_number", assignment.next)


def _put_features(database: Database, contents: Mapping[bytes, IndexEntry], assignment: _Assignment) -> None:
    """Insert or replace the features that entries have, and delete those of other versions; others stay."""
    redated = {content_id for content_id, _ in assignment.redated}
    described = [(assignment.content_ids[digest], entry.features, entry.words) for digest, entry in contents.items()]
    outdated = [(content_id,) for content_id, features, _ in described if features is not None or content_id in redated]
    for table in ("features", "words"):
        database.execute_many(f"DELETE FROM {table} WHERE content = ?", outdated)  # noqa: S608 - constants
    features = ((content_id, packed) for content_id, packed, _ in described if packed is not None)
    database.execute_many("INSERT INTO features VALUES (?, ?)", features)
    words = ((content_id, packed) for content_id, _, packed in described if packed is not None)
    database.execute_many("INSERT INTO words (content, data) VALUES (?, ?)", words)

"""Entries as rows and back."""

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


MAX_NUMBER: Final = 2**32 - 1
"""Numbers of contents have 32 bits in the stored pairs. Nobody gets there; if somebody does, it is said."""

_PUT_CONTENT = """
    INSERT INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (number) DO UPDATE SET
        versions = excluded.versions, format = excluded.format, width = excluded.width, height = excluded.height,
        exif_fields = excluded.exif_fields, captured = excluded.captured, camera = excluded.camera,
        has_gps = excluded.has_gps, frames = excluded.frames, signature = excluded.signature,
        pixel_digest = excluded.pixel_digest, failure_phase = excluded.failure_phase,
        failure_reason = excluded.failure_reason, failure_message = excluded.failure_message
"""
_PUT_FILE = """
    INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (path) DO UPDATE SET
        size = excluded.size, mtime_ns = excluded.mtime_ns, device = excluded.device, inode = excluded.inode,
        versions = excluded.versions, content = excluded.content, failure_phase = excluded.failure_phase,
        failure_reason = excluded.failure_reason, failure_message = excluded.failure_message
"""
_RENUMBER = (
    # The contents first: the trigger on files must not take the content for one that has departed.
    ("DELETE FROM contents WHERE number = ?", 1),
    ("DELETE FROM features WHERE content = ?", 1),
    ("DELETE FROM words WHERE content = ?", 1),
    ("DELETE FROM unsearched WHERE number = ?", 1),
    ("DELETE FROM crowded WHERE number = ?", 1),
    ("UPDATE departed SET content = ?2 WHERE content = ?1", 2),
    ("UPDATE files SET content = ?2 WHERE content = ?1", 2),
)


@dataclass(frozen=True, slots=True)
class _Numbering:
    """The numbers of a batch's contents.

    Attributes:
        numbers: By digest.
        renumbered: ``(old, new)`` of contents whose signature is another one now.
        redated: ``(number, id of versions)`` of contents that were made with other versions until now.
        first_new: Numbers from here on are new.
        next: The number after all of them.
    """

    numbers: Mapping[bytes, int]
    renumbered: Sequence[tuple[int, int]]
    redated: Sequence[tuple[int, int]]
    first_new: int
    next: int


def put_entries(database: Database, versions: VersionTable, entries: Mapping[bytes, IndexEntry]) -> None:
    """Insert or replace entries by raw path, inside a transaction of the caller.

    Raises:
        ValueError: An entry without a digest has facts, a signature or the like, which only content can have.
        StoreError: The numbers of contents have run out.
    """
    ids = {made_with: versions.id_of(made_with) for made_with in {entry.versions for entry in entries.values()}}
    contents = {entry.digest: entry for entry in entries.values() if entry.digest is not None}
    numbering = _number(database, contents, ids)
    _put_contents(database, contents, ids, numbering)
    numbers = numbering.numbers
    rows = [file_row(raw, entry, ids[entry.versions], _number_of(entry, numbers)) for raw, entry in entries.items()]
    database.execute_many(_PUT_FILE, rows)


def _number_of(entry: IndexEntry, numbers: Mapping[bytes, int]) -> int | None:
    if entry.digest is not None:
        return numbers[entry.digest]
    if entry.facts or entry.signature or entry.pixel_digest or entry.features or entry.words:
        raise ValueError(f"the entry of {entry.stat.path} describes a picture and has no digest")
    return None


def _number(database: Database, contents: Mapping[bytes, IndexEntry], ids: Mapping[Versions, int]) -> _Numbering:
    numbers: dict[bytes, int] = {}
    renumbered: list[tuple[int, int]] = []
    redated: list[tuple[int, int]] = []
    first = following = int(database.fact("next_number"))
    known = database.rows_in("SELECT digest, number, versions, signature FROM contents WHERE digest IN (?)", contents)
    for digest, number, version_id, signature in known:
        entry = contents[digest]
        numbers[digest] = number
        # Searching remembers by number what it found, so another signature takes another number.
        if signature != (entry.signature and entry.signature.values):
            numbers[digest] = following
            renumbered.append((number, following))
            following += 1
        if version_id != ids[entry.versions]:
            redated.append((numbers[digest], ids[entry.versions]))
    for digest in contents:
        if digest not in numbers:
            numbers[digest] = following
            following += 1
    if following > MAX_NUMBER:
        raise StoreError(f"The index {database.path} has used all its numbers. {START_ANEW}")
    return _Numbering(numbers, renumbered, redated, first, following)


def _put_contents(
    database: Database, contents: Mapping[bytes, IndexEntry], ids: Mapping[Versions, int], numbering: _Numbering
) -> None:
    numbers = numbering.numbers
    for statement, width in _RENUMBER if numbering.renumbered else ():
        database.execute_many(statement, (change[:width] for change in numbering.renumbered))
    database.execute_many(
        _PUT_CONTENT,
        (content_row(entry, ids[entry.versions], numbers[digest]) for digest, entry in contents.items()),
    )
    _put_features(database, contents, numbering)
    # Copies elsewhere of a content that was made anew with other methods are as new as this one.
    database.execute_many("UPDATE files SET versions = ?2 WHERE content = ?1", numbering.redated)
    unsearched = (
        (numbers[digest],)
        for digest, entry in contents.items()
        if entry.signature is not None and numbers[digest] >= numbering.first_new
    )
    database.execute_many("INSERT INTO unsearched VALUES (?)", unsearched)
    database.set_fact("next_number", numbering.next)


def _put_features(database: Database, contents: Mapping[bytes, IndexEntry], numbering: _Numbering) -> None:
    """Replace features by those that are given, and drop those of other versions; others stay."""
    numbers = numbering.numbers
    redated = {number for number, _ in numbering.redated}
    described = [(numbers[digest], entry.features, entry.words) for digest, entry in contents.items()]
    outdated = [(number,) for number, features, _ in described if features is not None or number in redated]
    for table in ("features", "words"):
        database.execute_many(f"DELETE FROM {table} WHERE content = ?", outdated)  # noqa: S608 - constants
    features = ((number, packed) for number, packed, _ in described if packed is not None)
    database.execute_many("INSERT INTO features VALUES (?, ?)", features)
    words = ((number, packed) for number, _, packed in described if packed is not None)
    database.execute_many("INSERT INTO words (content, data) VALUES (?, ?)", words)

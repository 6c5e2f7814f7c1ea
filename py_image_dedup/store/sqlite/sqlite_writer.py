"""Writing entries: the rows of files and contents, and what becomes of contents that no file has any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from py_image_dedup.model.photo import IndexEntry, Versions
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.sqlite.database import Database
from py_image_dedup.store.sqlite.rows import VersionTable, content_row, file_row
from py_image_dedup.store.sqlite.sqlite_errors import START_ANEW

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

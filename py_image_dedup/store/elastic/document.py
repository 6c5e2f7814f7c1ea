"""Entries as documents of the index.

The fields that the program reads are packed (``look``, ``content``, ``rest``, ``features``) and keep any bytes
unchanged; the fields beside them are plain values for people who search the index.
"""

from __future__ import annotations

import binascii
import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.file import FileStat
from py_image_dedup.model.photo import SIGNATURE_LENGTH, IndexEntry, PhotoFacts, Signature, Versions
from py_image_dedup.signature.arrays import Int8Array, UInt8Array
from py_image_dedup.store.base import StoreError
from py_image_dedup.store.elastic.orientation_invariants import invariants

DIGEST_LENGTH: Final = 32

STAT_PACKED: Final = "look"
"""The field with the packed path, stamp and versions; names of fields are never changed."""

EXTRA: Final = "rest"
"""The field with facts, failure and pixel digest, packed."""

SHARD_SLOT: Final = "slot"
"""The field with the slot of an entry; see ``SLOTS``."""

PATH_ORDER: Final = "order"
"""The field that entries are sorted by; see ``path_order_of``."""

_STAT = struct.Struct("<IIIqqQQ")
# A time after the year 2262 is stored as the last one that fits, so that the file always looks changed.
_LARGEST = 2**63 - 1
_CONTENT = struct.Struct(f"<{DIGEST_LENGTH}sI")
_POWERS = np.array([25, 5, 1], dtype=np.uint8)
_PACKED_LENGTH = (SIGNATURE_LENGTH + 2) // 3
_TRIPLES: Int8Array = np.stack(np.unravel_index(np.arange(125), (5, 5, 5)), axis=1).astype(np.int8) - np.int8(2)


def pack_stat(stat: FileStat, versions: Versions) -> str:
    """Pack versions, stamp and raw path into one base64 text."""
    size, mtime_ns = (max(-_LARGEST, min(_LARGEST, value)) for value in (stat.size, stat.mtime_ns))
    head = _STAT.pack(versions.media, versions.signature, versions.features, size, mtime_ns, stat.device, stat.inode)
    return _base64(head + stat.raw_path)


def unpack_stat(text: str) -> tuple[bytes, tuple[int, int, int, int], tuple[int, int, int]]:
    """Unpack ``pack_stat``: raw path, stamp, versions (media, signature, features)."""
    data = binascii.a2b_base64(text)
    media, signature, features, size, mtime_ns, device, inode = _STAT.unpack_from(data)
    return data[_STAT.size :], (size, mtime_ns, device, inode), (media, signature, features)


def pack_content(digest: bytes, signature_version: int, packed: bytes) -> str:
    """Pack a digest and the packed signature of the content, empty if it has none, into one base64 text."""
    if len(digest) != DIGEST_LENGTH:
        raise ValueError(f"a digest has {DIGEST_LENGTH} bytes, not {len(digest)}")
    return _base64(_CONTENT.pack(digest, signature_version) + packed)


def unpack_content(text: str) -> tuple[bytes, int, bytes]:
    """Unpack ``pack_content``: digest, signature version, packed values (empty without a signature)."""
    data = binascii.a2b_base64(text)
    digest, version = _CONTENT.unpack_from(data)
    return digest, version, data[_CONTENT.size :]


def pack_values(values: Int8Array) -> list[bytes]:
    """Pack signatures of shape ``(n, SIGNATURE_LENGTH)``: three values of -2 to 2 per byte.

    Signatures with other values are not packed.
    """
    steps = np.zeros((len(values), _PACKED_LENGTH * 3), dtype=np.uint8)
    steps[:, :SIGNATURE_LENGTH] = values.view(np.uint8) + np.uint8(2)
    packed = steps[:, 0::3] * _POWERS[0] + steps[:, 1::3] * _POWERS[1] + steps[:, 2::3]
    rows = [row.tobytes() for row in packed]
    for odd in np.flatnonzero((steps > 4).any(axis=1)).tolist():
        rows[odd] = values[odd].tobytes()
    return rows


def unpack_values(packed: Sequence[bytes]) -> Int8Array:
    """Unpack signatures, int8 of shape ``(n, SIGNATURE_LENGTH)``.

    Raises:
        ValueError: The length of an item is not that of a packed signature.
    """
    whole = np.empty((len(packed), SIGNATURE_LENGTH), dtype=np.int8)
    lengths = np.fromiter(map(len, packed), dtype=np.int64, count=len(packed))
    small = np.flatnonzero(lengths == _PACKED_LENGTH)
    plain = np.flatnonzero(lengths == SIGNATURE_LENGTH)
    if len(small) + len(plain) != len(packed):
        raise ValueError("a packed signature has a wrong length")
    if len(small):
        steps = _packed_bytes([packed[row] for row in small.tolist()], _PACKED_LENGTH)
        whole[small] = _TRIPLES[steps].reshape(len(small), -1)[:, :SIGNATURE_LENGTH]
    if len(plain):
        whole[plain] = _packed_bytes([packed[row] for row in plain.tolist()], SIGNATURE_LENGTH).view(np.int8)
    return whole


def _packed_bytes(rows: Sequence[bytes], length: int) -> UInt8Array:
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, length)


EVERYTHING: Final[Mapping[str, Any]] = {"match_all": {}}

READ: Final = (STAT_PACKED, "content", EXTRA)
"""The fields that ``entry_of`` needs. All are columns too, so that they are read without the large features."""

READ_ALL: Final = (*READ, "features", "words")
"""The fields of an entry with its features, which are large."""

SLOTS: Final = 1 << 31
"""The number of slots. Each entry is in a pseudo-random one: large results are read in ranges of slots."""

_ID_LENGTH: Final = 20
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))

PATH_ORDER_LENGTH: Final = 16_000
"""The bytes of a path that the server sorts by; it accepts terms of 32,766 bytes at most."""


def entry_id(raw_path: bytes) -> str:
    """Return the id of an entry, a hash of its path: indexing the same path again replaces the entry."""
    return blake3(raw_path).hexdigest(length=_ID_LENGTH)


def folder_id(raw_folder: bytes) -> str:
    """Return the term that every entry below this folder has."""
    return blake3(raw_folder).hexdigest(length=16)


def folders_above(raw_path: bytes) -> Iterator[bytes]:
    """Yield every folder above a path, the file itself excluded."""
    at = raw_path.find(b"/")
    while at >= 0:
        yield raw_path[:at] or b"/"
        at = raw_path.find(b"/", at + 1)


def path_order_of(raw_path: bytes) -> str:
    """Return a text that sorts as the raw path does, up to ``PATH_ORDER_LENGTH``: one Latin-1 character per byte."""
    return raw_path[:PATH_ORDER_LENGTH].decode("latin-1")


def entries_under(under: Sequence[Path] | None) -> Mapping[str, Any]:
    """Return the query for the entries under some folders, of any bytes and length; ``None`` means all entries."""
    if under is None:
        return EVERYTHING
    return {"terms": {"folders": [folder_id(os.fsencode(folder)) for folder in under]}}


def check_entry(entry: IndexEntry) -> None:
    """Check that an entry may be put.

    Raises:
        ValueError: The entry describes a picture and has no digest.
    """
    if entry.digest is None and entry.describes_picture:
        raise ValueError(f"the entry of {entry.stat.path} describes a picture and has no digest")


def documents(entries: Sequence[IndexEntry]) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Yield the documents of entries: id, raw path, fields. More than ten thousand a second."""
    signed = [entry.signature.values for entry in entries if entry.signature is not None]
    values = np.frombuffer(b"".join(signed), dtype=np.int8).reshape(len(signed), SIGNATURE_LENGTH)
    signatures = zip(invariants(values), pack_values(values), strict=True)
    above: dict[bytes, list[str]] = {}
    for entry in entries:
        raw_path = entry.stat.raw_path
        folder = raw_path[: raw_path.rfind(b"/") + 1]
        if folder not in above:
            above[folder] = [folder_id(each) for each in folders_above(folder)]
        name = blake3(raw_path).digest(length=_ID_LENGTH + 4)
        fields = _fields(entry, raw_path)
        fields["folders"] = above[folder]
        fields[SHARD_SLOT] = int.from_bytes(name[_ID_LENGTH:]) % SLOTS
        packed = b""
        if entry.signature is not None:
            invariant, packed = next(signatures)
            fields["invariants"] = invariant.tobytes().hex()
        if entry.digest is not None:
            fields["content"] = pack_content(entry.digest, entry.versions.signature, packed)
            fields["digest"] = entry.digest.hex()
        yield name[:_ID_LENGTH].hex(), raw_path, fields


def _fields(entry: IndexEntry, raw_path: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "path": readable(str(entry.stat.path)),
        PATH_ORDER: path_order_of(raw_path),
        STAT_PACKED: pack_stat(entry.stat, entry.versions),
        "size": entry.stat.size,
    }
    if 0 <= entry.stat.mtime_ns < 1 << 62:
        fields["modified"] = entry.stat.mtime_ns // 10**6
    extra = _extra(entry)
    if extra:
        fields[EXTRA] = _base64(_ENCODER.encode(extra).encode("ascii"))
        fields |= _plain_fields(entry)
    if entry.features is not None:
        fields["features"] = _base64(entry.features)
    if entry.words is not None:
        fields["words"] = _base64(entry.words)
    return fields


def _extra(entry: IndexEntry) -> dict[str, Any]:
    """Return the parts that are neither searched nor scanned, as JSON that keeps lone surrogates."""
    extra: dict[str, Any] = {}
    facts = entry.facts
    if facts is not None:
        captured = facts.captured.isoformat() if facts.captured else None
        extra["facts"] = [
            facts.format, facts.width, facts.height, facts.exif_fields, captured, facts.camera, facts.has_gps,
            facts.frames,
        ]  # fmt: skip
        if facts.marks is not None:
            extra["marks"] = facts.marks
    if entry.failure is not None:
        extra["failure"] = [entry.failure.phase.value, entry.failure.reason.value, entry.failure.message]
    if entry.pixel_digest is not None:
        extra["pixels"] = entry.pixel_digest.hex()
    if entry.image_data_digest is not None:
        extra["image_data"] = entry.image_data_digest.hex()
    return extra


def _plain_fields(entry: IndexEntry) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    facts, failure = entry.facts, entry.failure
    if facts is not None:
        shown["facts"] = {
            "format": readable(facts.format),
            "width": facts.width,
            "height": facts.height,
            "exif_fields": facts.exif_fields,
            "has_gps": facts.has_gps,
            "frames": facts.frames,
        }
        if facts.captured is not None:
            shown["facts"]["captured"] = facts.captured.isoformat(timespec="seconds")
        if facts.camera is not None:
            shown["facts"]["camera"] = readable(facts.camera)
    if failure is not None:
        shown["failure"] = {
            "phase": failure.phase.value,
            "reason": failure.reason.value,
            "message": readable(failure.message),
        }
    return shown


def entry_of(fields: Mapping[str, Any], versions: dict[tuple[int, int, int], Versions]) -> IndexEntry:
    """Return the entry of a document.

    Args:
        fields: At least the fields of ``READ`` that the document has.
        versions: Versions that were read before; equal versions become the same object.

    Raises:
        StoreError: The document cannot have been written by this program.
    """
    try:
        return _entry_of(fields, versions)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise StoreError(
            f"a document of the index is damaged ({error!r}): {str(fields.get('path', ''))!r}; "
            "empty the index with `py-image-dedup clear` and run again"
        ) from error


def _entry_of(fields: Mapping[str, Any], versions: dict[tuple[int, int, int], Versions]) -> IndexEntry:
    raw_path, stamp, made_with = unpack_stat(fields[STAT_PACKED])
    stat = FileStat.of(raw_path, stamp)
    extra = json.loads(binascii.a2b_base64(fields[EXTRA])) if EXTRA in fields else {}
    digest = signature = facts = failure = None
    if "content" in fields:
        digest, _, packed = unpack_content(fields["content"])
        signature = Signature(unpack_values([packed])[0].tobytes()) if packed else None
    if "facts" in extra:
        kind, width, height, exif_fields, captured, camera, has_gps, frames = extra["facts"]
        when = datetime.fromisoformat(captured) if captured else None
        facts = PhotoFacts(kind, width, height, exif_fields, when, camera, has_gps, frames).with_marks(
            extra.get("marks")
        )
    if "failure" in extra:
        phase, reason, message = extra["failure"]
        failure = Failure(stat.path, Phase(phase), FailureReason(reason), message)
    return IndexEntry(
        stat=stat,
        versions=shared_versions(versions, made_with),
        digest=digest,
        facts=facts,
        signature=signature,
        pixel_digest=bytes.fromhex(extra["pixels"]) if "pixels" in extra else None,
        features=_bytes(fields, "features"),
        words=_bytes(fields, "words"),
        failure=failure,
        image_data_digest=bytes.fromhex(extra["image_data"]) if "image_data" in extra else None,
    )


def shared_versions(versions: dict[tuple[int, int, int], Versions], made_with: tuple[int, int, int]) -> Versions:
    """Return the one object for equal versions."""
    found = versions.get(made_with)
    if found is None:
        found = versions[made_with] = Versions(*made_with)
    return found


def readable(text: str) -> str:
    """Return a text as valid Unicode: lone surrogates are replaced."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _bytes(fields: Mapping[str, Any], name: str) -> bytes | None:
    return binascii.a2b_base64(fields[name]) if name in fields else None


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")

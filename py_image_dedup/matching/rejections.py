"""Pictures that a user marked as not duplicates: remembered by content, and not matched again.

A new picture is in no rejection, so it is matched with each of the others as if nothing had been decided.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from py_image_dedup.matching.matcher import Matcher
from py_image_dedup.model.match import Match
from py_image_dedup.model.photo import IndexEntry

REJECTIONS_NAME: Final = "not-duplicates.json"
"""Name of the file in the state directory."""

VERSION: Final = 1
"""Version of the format; a reader refuses any other one."""


class RejectedContentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A content as JSON.

    Attributes:
        digest: BLAKE3 digest of the bytes, in hexadecimal.
        name: Name of a file that had it, for the reader.
    """

    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    name: str


class RejectionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as JSON.

    Attributes:
        decided: Time of the decision.
        files: The contents that are not duplicates of each other.
    """

    decided: datetime
    files: tuple[RejectedContentRecord, ...]


class RejectionsRecord(msgspec.Struct, frozen=True, kw_only=True):
    """All decisions as JSON.

    Attributes:
        version: Version of the format.
        kind: What the file is, for the reader.
        groups: The decisions, the oldest first.
    """

    version: int
    kind: str = "py-image-dedup not duplicates"
    groups: tuple[RejectionRecord, ...]


class RejectionsError(ValueError):
    """The file of the decisions has another form; the message names the place."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One decision that files are not duplicates of each other.

    Attributes:
        decided: Time of the decision, with time zone.
        contents: Digests of the files, each with the name that it had.
    """

    decided: datetime
    contents: tuple[tuple[bytes, str], ...]

    @property
    def digests(self) -> frozenset[bytes]:
        """The digests without the names."""
        return frozenset(digest for digest, _ in self.contents)


class Rejections:
    """All decisions that files are not duplicates of each other. Immutable.

    Args:
        entries: The decisions, the oldest first.
    """

    def __init__(self, entries: Iterable[Rejection] = ()) -> None:
        self.entries = tuple(entries)
        self._numbers: dict[bytes, set[int]] = {}
        for number, entry in enumerate(self.entries):
            for digest in entry.digests:
                self._numbers.setdefault(digest, set()).add(number)

    def reject(self, left: IndexEntry, right: IndexEntry) -> bool:
        """Return whether two files are marked as not duplicates. Files with the same bytes always may match."""
        if left.digest is None or right.digest is None or left.digest == right.digest:
            return False
        return not self._numbers.get(left.digest, set()).isdisjoint(self._numbers.get(right.digest, ()))

    def with_more(self, entries: Iterable[Rejection]) -> Rejections:
        """Return these and more decisions; one about the same contents as an earlier one replaces it."""
        more = tuple(entries)
        replaced = {entry.digests for entry in more}
        return Rejections((*(entry for entry in self.entries if entry.digests not in replaced), *more))

    def without(self, digests: Iterable[frozenset[bytes]]) -> Rejections:
        """Return all but the decisions about these sets of contents."""
        gone = set(digests)
        return Rejections(entry for entry in self.entries if entry.digests not in gone)


@dataclass(frozen=True, slots=True)
class RejectingMatcher:
    """A matcher that leaves out rejected pairs.

    Attributes:
        matcher: Decides about all other pairs.
        rejections: The pairs that never match.
    """

    matcher: Matcher
    rejections: Rejections

    def matches(self, keeper: IndexEntry, others: Sequence[IndexEntry]) -> Sequence[Match | None]:
        """Return for each of the others its match with the keeper; see ``Matcher.matches``."""
        found = self.matcher.matches(keeper, others)
        return [
            None if match is not None and self.rejections.reject(match.left, match.right) else match for match in found
        ]

    def dominated(self, entries: Sequence[IndexEntry]) -> frozenset[bytes]:
        """See ``Matcher.dominated``."""
        return self.matcher.dominated(entries)


def load_rejections(path: Path) -> Rejections:
    """Read what ``save_rejections`` wrote; nothing is rejected if there is no such file.

    Raises:
        RejectionsError: It holds something else: better no run than one that removes what was to stay.
        OSError: It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Rejections()
    try:
        value = json.loads(text)
        if isinstance(value, dict) and value.get("version", VERSION) != VERSION:
            raise RejectionsError(f"{path}: version {value['version']}; this program knows version {VERSION}")
        record = msgspec.convert(value, RejectionsRecord)
    except (msgspec.ValidationError, UnicodeEncodeError, json.JSONDecodeError, RecursionError) as error:
        raise RejectionsError(f"{path} holds no decisions of this program: {error}") from error
    return Rejections(
        Rejection(
            each.decided if each.decided.tzinfo else each.decided.astimezone(),
            tuple((bytes.fromhex(content.digest), content.name) for content in each.files),
        )
        for each in record.groups
    )


def save_rejections(rejections: Rejections, path: Path) -> None:
    """Write rejections; a reader sees the old file or the whole new one.

    Raises:
        OSError: It could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    record = RejectionsRecord(
        version=VERSION,
        groups=tuple(
            RejectionRecord(
                decided=entry.decided.replace(microsecond=0),
                files=tuple(RejectedContentRecord(digest=digest.hex(), name=name) for digest, name in entry.contents),
            )
            for entry in rejections.entries
        ),
    )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(msgspec.to_builtins(record), ensure_ascii=True, indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

"""The caches of verdicts and inspections in an SQLite file: what is known about pairs of contents, by digest.

A result depends only on the bytes of two files and on the version of the method, so it outlives the content ids of an
index. An index on a server keeps its results in such a file beside the other state of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from py_image_dedup.model.match import Evidence, MatchClass, Orientation, PairVerdict, Verdict, current_words
from py_image_dedup.store.base import DigestPair, Store
from py_image_dedup.store.sqlite.database import Database, Row
from py_image_dedup.store.sqlite.rows import damaged

_PUT: Final = "INSERT OR REPLACE INTO proofs VALUES (?, ?, ?, ?, ?, ?)"
_READ: Final = "SELECT left, right, class, orientation, evidence FROM proofs"
_VERDICTS_A_PAGE: Final = 10_000
_INSPECTIONS_A_PAGE: Final = 1_000
_PUT_INSPECTION: Final = "INSERT OR REPLACE INTO inspections VALUES (?, ?, ?, ?)"


class VerdictCache:
    """Verdicts, stored by digest and read by content id. One thread at a time.

    Args:
        database: The file with the tables ``proofs``, ``verified`` and ``absent``.
        digests_of: Returns the digests of content ids; unknown content ids are left out.
        content_ids_of: Returns the content ids of digests; unknown digests are left out.
    """

    def __init__(
        self,
        database: Database,
        digests_of: Callable[[Sequence[int]], Mapping[int, bytes]],
        content_ids_of: Callable[[Iterable[bytes]], Mapping[bytes, int]],
    ) -> None:
        self._database = database
        self._digests_of = digests_of
        self._content_ids_of = content_ids_of

    def keep(self, version: int, verdicts: Sequence[PairVerdict], verified: Sequence[int]) -> None:
        """See ``Store.keep_verdicts``."""
        named = {*verified, *(verdict.left for verdict in verdicts), *(verdict.right for verdict in verdicts)}
        digests = self._digests_of(sorted(named))
        rows = [
            _row(digests[verdict.left], digests[verdict.right], version, verdict)
            for verdict in verdicts
            if verdict.left in digests and verdict.right in digests
        ]
        with self._database.transaction():
            # A pair has one row, in either order of its contents.
            self._database.execute_many("DELETE FROM proofs WHERE right = ? AND left = ?", (row[:2] for row in rows))
            self._database.execute_many(_PUT, rows)
            marks = ((digests[content_id], version) for content_id in verified if content_id in digests)
            self._database.execute_many("INSERT OR REPLACE INTO verified VALUES (?, ?)", marks)

    def verified_with(self, version: int) -> set[bytes]:
        """Return the digests of the contents that are verified with this version."""
        return {
            digest for (digest,) in self._database.rows("SELECT digest FROM verified WHERE version = ?", (version,))
        }

    def unverified_among(self, version: int, contents: Mapping[bytes, int]) -> list[int]:
        """Return the contents that are not verified with this version, ascending.

        Args:
            version: Version of the verification.
            contents: Content ids by digest.
        """
        rows = self._database.rows_in("SELECT digest, version FROM verified WHERE digest IN (?)", contents)
        verified = {digest for digest, verified_with in rows if verified_with == version}
        return sorted(content_id for digest, content_id in contents.items() if digest not in verified)

    def note_absent(self, digests: Iterable[bytes]) -> None:
        """Record that an entry of each digest was removed; whether it was the last one is checked later."""
        rows = [(digest,) for digest in digests]
        if rows:
            with self._database.transaction():
                self._database.execute_many("INSERT OR IGNORE INTO absent VALUES (?)", rows)

    def absent(self) -> list[bytes]:
        """Return the digests that were recorded by ``note_absent``."""
        return [digest for (digest,) in self._database.rows("SELECT digest FROM absent")]

    def invalidate(self, orphans: Iterable[bytes]) -> None:
        """Mark orphans as not verified, and clear the record of absent contents."""
        with self._database.transaction():
            self._database.execute_many("DELETE FROM verified WHERE digest = ?", [(digest,) for digest in orphans])
            self._database.execute("DELETE FROM absent")

    def verdicts(self, version: int, content_ids: Sequence[int] | None) -> Iterator[PairVerdict]:
        """See ``Store.verdicts``."""
        if content_ids is None:
            yield from self._all(version)
            return
        digests = list(self._digests_of(content_ids).values())
        rows: dict[tuple[bytes, bytes], Row] = {}
        for side in ("left", "right"):
            query = f"{_READ} WHERE version = {int(version)} AND {side} IN (?)"
            rows |= {row[:2]: row for row in self._database.rows_in(query, digests)}
        yield from self._known(list(rows.values()))

    def clear(self) -> None:
        """Delete all verdicts, inside a transaction of the caller."""
        for table in ("proofs", "verified", "absent"):
            self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - constants

    def _all(self, version: int) -> Iterator[PairVerdict]:
        query = f"{_READ} WHERE version = ? AND (left, right) > (?, ?) ORDER BY left, right LIMIT ?"
        page = self._database.rows(query, (version, b"", b"", _VERDICTS_A_PAGE))
        while page:
            yield from self._known(page)
            page = self._database.rows(query, (version, *page[-1][:2], _VERDICTS_A_PAGE))

    def _known(self, rows: Sequence[Row]) -> Iterator[PairVerdict]:
        content_ids = self._content_ids_of({digest for row in rows for digest in row[:2]})
        for left, right, name, orientation, evidence in rows:
            if left in content_ids and right in content_ids:
                yield self._verdict(content_ids[left], content_ids[right], name, orientation, evidence)

    def _verdict(self, left: int, right: int, name: str | None, orientation: int, evidence: str | None) -> PairVerdict:
        try:
            seen = None if evidence is None else json.loads(evidence)
            if name is None:
                return PairVerdict(left, right, None)
            shown = Evidence(()) if seen is None else _evidence_of(seen)
            return PairVerdict(left, right, Verdict(MatchClass(name), Orientation(orientation), shown))
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(self._database.path, f"a verdict: {error}") from error


def _evidence_of(stored: dict[str, Any]) -> Evidence:
    inliers, bad_share, coverage_left, coverage_right = stored["numbers"]
    words, reversed_words = current_words(stored["words"]), current_words(stored["reversed"])
    drawn_over = stored.get("drawn")
    return Evidence(words, inliers, bad_share, coverage_left, coverage_right, reversed_words, drawn_over)


class InspectionCache:
    """Results of inspections, stored by the digests of both files. One thread at a time.

    Args:
        database: The file with the table ``inspections``.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, version: int, found: Mapping[DigestPair, bytes]) -> None:
        """See ``Store.keep_inspections``."""
        with self._database.transaction():
            self._database.execute_many(_PUT_INSPECTION, ((*pair, version, data) for pair, data in found.items()))

    def inspections(self, version: int, pairs: Collection[DigestPair]) -> dict[DigestPair, bytes]:
        """See ``Store.inspections``."""
        wanted = set(pairs)
        query = f"SELECT keeper, other, data FROM inspections WHERE version = {int(version)} AND keeper IN (?)"  # noqa: S608 - a number
        rows = self._database.rows_in(query, sorted({keeper for keeper, _ in wanted}))
        return {(keeper, other): data for keeper, other, data in rows if (keeper, other) in wanted}

    def all_inspections(self, version: int) -> Iterator[tuple[DigestPair, bytes]]:
        """See ``Store.all_inspections``."""
        query = (
            "SELECT keeper, other, data FROM inspections WHERE version = ? AND (keeper, other) > (?, ?) "
            "ORDER BY keeper, other LIMIT ?"
        )
        page = self._database.rows(query, (version, b"", b"", _INSPECTIONS_A_PAGE))
        while page:
            yield from (((keeper, other), data) for keeper, other, data in page)
            page = self._database.rows(query, (version, *page[-1][:2], _INSPECTIONS_A_PAGE))

    def clear(self) -> None:
        """Delete all inspections, inside a transaction of the caller."""
        self._database.execute("DELETE FROM inspections")


def drop_unknown(database: Database) -> None:
    """Delete the results for contents that are not in the index any more, inside a transaction of the caller."""
    known = "SELECT digest FROM contents"
    database.execute(f"DELETE FROM proofs WHERE left NOT IN ({known}) OR right NOT IN ({known})")  # noqa: S608 - constant
    database.execute(f"DELETE FROM verified WHERE digest NOT IN ({known})")  # noqa: S608 - constant
    database.execute(f"DELETE FROM inspections WHERE keeper NOT IN ({known}) OR other NOT IN ({known})")  # noqa: S608 - as above


def invalidate_departed(database: Database) -> None:
    """Mark the contents of an SQLite index that no file has as not verified."""
    departed = """
        SELECT c.digest FROM departed d JOIN contents c ON c.number = d.content
        WHERE NOT EXISTS (SELECT 1 FROM files WHERE content = d.content)
    """
    with database.transaction():
        database.execute(f"DELETE FROM verified WHERE digest IN ({departed})")  # noqa: S608 - constant


def _row(left: bytes, right: bytes, version: int, pair: PairVerdict) -> Row:
    verdict = pair.verdict
    if verdict is None:
        return (left, right, version, None, int(Orientation.UPRIGHT), None)
    evidence = verdict.evidence
    figures = [evidence.inliers, evidence.bad_share, evidence.coverage_left, evidence.coverage_right]
    fields = {"words": evidence.words, "reversed": evidence.words_reversed, "numbers": figures}
    stored = json.dumps(fields | {"drawn": evidence.right_is_drawn_over})
    return (left, right, version, verdict.match_class.value, int(verdict.orientation), stored)


class StoreWithCaches(Store):
    """A store that keeps verdicts and inspections in an SQLite file, its own or one on this machine.

    Subclasses set both caches when they are opened.
    """

    _verdicts: VerdictCache
    _inspections: InspectionCache

    def keep_verdicts(self, version: int, verdicts: Sequence[PairVerdict], verified: Sequence[int] = ()) -> None:
        """See ``Store.keep_verdicts``."""
        self._verdicts.keep(version, verdicts, verified)

    def verdicts(self, version: int, content_ids: Sequence[int] | None = None) -> Iterator[PairVerdict]:
        """See ``Store.verdicts``."""
        return self._verdicts.verdicts(version, content_ids)

    def keep_inspections(self, version: int, found: Mapping[DigestPair, bytes]) -> None:
        """See ``Store.keep_inspections``."""
        self._inspections.keep(version, found)

    def inspections(self, version: int, pairs: Collection[DigestPair]) -> Mapping[DigestPair, bytes]:
        """See ``Store.inspections``."""
        return self._inspections.inspections(version, pairs)

    def all_inspections(self, version: int) -> Iterator[tuple[DigestPair, bytes]]:
        """See ``Store.all_inspections``."""
        return self._inspections.all_inspections(version)

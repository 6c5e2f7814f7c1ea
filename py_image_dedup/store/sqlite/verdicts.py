"""What verification found out about pairs of contents: rows by digest, in an SQLite file.

A proof depends on nothing but the bytes of two files and the version of the method, so it outlives the numbers of an
index, and an index on a server keeps its proofs in such a file beside the other state of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from py_image_dedup.model.match import Evidence, MatchClass, Orientation, PairVerdict, Verdict
from py_image_dedup.store.sqlite.database import Database, Row
from py_image_dedup.store.sqlite.rows import damaged

_PUT: Final = "INSERT OR REPLACE INTO proofs VALUES (?, ?, ?, ?, ?, ?)"
_READ: Final = "SELECT left, right, class, orientation, evidence FROM proofs"
_PROOFS_A_PAGE: Final = 10_000


class VerdictCache:
    """Rows by digest, asked for by number. One thread at a time.

    Args:
        database: The file.
        digests_of: Gives the digests of numbers.
        numbers_of: Gives the numbers of digests; what is not known any more is left out.
    """

    def __init__(
        self,
        database: Database,
        digests_of: Callable[[Sequence[int]], Mapping[int, bytes]],
        numbers_of: Callable[[Iterable[bytes]], Mapping[bytes, int]],
    ) -> None:
        self._database = database
        self._digests_of = digests_of
        self._numbers_of = numbers_of

    def keep(self, version: int, proofs: Sequence[PairVerdict], verified: Sequence[int]) -> None:
        """See ``Store.keep_verdicts``."""
        named = {*verified, *(proof.left for proof in proofs), *(proof.right for proof in proofs)}
        digests = self._digests_of(sorted(named))
        rows = [
            _row(digests[proof.left], digests[proof.right], version, proof)
            for proof in proofs
            if proof.left in digests and proof.right in digests
        ]
        with self._database.transaction():
            # A pair has one row, whichever of the two is called the left one.
            self._database.execute_many("DELETE FROM proofs WHERE right = ? AND left = ?", (row[:2] for row in rows))
            self._database.execute_many(_PUT, rows)
            marks = ((digests[number], version) for number in verified if number in digests)
            self._database.execute_many("INSERT OR REPLACE INTO verified VALUES (?, ?)", marks)

    def verified(self, version: int) -> set[bytes]:
        """Return the digests that are marked with this version."""
        return {
            digest for (digest,) in self._database.rows("SELECT digest FROM verified WHERE version = ?", (version,))
        }

    def unverified_among(self, version: int, numbers: Mapping[bytes, int]) -> list[int]:
        """Return the numbers, ascending, whose digests are not marked with this version."""
        rows = self._database.rows_in("SELECT digest, version FROM verified WHERE digest IN (?)", numbers)
        marked = {digest for digest, marked_with in rows if marked_with == version}
        return sorted(number for digest, number in numbers.items() if digest not in marked)

    def note_absent(self, digests: Iterable[bytes]) -> None:
        """Remember that an entry with each of these went; whether it was the last one is found out later."""
        rows = [(digest,) for digest in digests]
        if rows:
            with self._database.transaction():
                self._database.execute_many("INSERT OR IGNORE INTO absent VALUES (?)", rows)

    def absent(self) -> list[bytes]:
        """Return what was noted."""
        return [digest for (digest,) in self._database.rows("SELECT digest FROM absent")]

    def unmark(self, gone: Iterable[bytes]) -> None:
        """Take the marks from contents, and forget what was noted of any."""
        with self._database.transaction():
            self._database.execute_many("DELETE FROM verified WHERE digest = ?", [(digest,) for digest in gone])
            self._database.execute("DELETE FROM absent")

    def verdicts(self, version: int, numbers: Sequence[int] | None) -> Iterator[PairVerdict]:
        """See ``Store.verdicts``."""
        if numbers is None:
            yield from self._all(version)
            return
        digests = list(self._digests_of(numbers).values())
        rows: dict[tuple[bytes, bytes], Row] = {}
        for side in ("left", "right"):
            query = f"{_READ} WHERE version = {int(version)} AND {side} IN (?)"
            rows |= {row[:2]: row for row in self._database.rows_in(query, digests)}
        yield from self._known(list(rows.values()))

    def clear(self) -> None:
        """Forget everything, inside a transaction of the caller."""
        for table in ("proofs", "verified", "absent"):
            self._database.execute(f"DELETE FROM {table}")  # noqa: S608 - constants

    def _all(self, version: int) -> Iterator[PairVerdict]:
        query = f"{_READ} WHERE version = ? AND (left, right) > (?, ?) ORDER BY left, right LIMIT ?"
        page = self._database.rows(query, (version, b"", b"", _PROOFS_A_PAGE))
        while page:
            yield from self._known(page)
            page = self._database.rows(query, (version, *page[-1][:2], _PROOFS_A_PAGE))

    def _known(self, rows: Sequence[Row]) -> Iterator[PairVerdict]:
        numbers = self._numbers_of({digest for row in rows for digest in row[:2]})
        for left, right, name, orientation, evidence in rows:
            if left in numbers and right in numbers:
                yield self._proof(numbers[left], numbers[right], name, orientation, evidence)

    def _proof(self, left: int, right: int, name: str | None, orientation: int, evidence: str | None) -> PairVerdict:
        try:
            seen = None if evidence is None else json.loads(evidence)
            if name is None:
                return PairVerdict(left, right, None)
            shown = Evidence(()) if seen is None else _evidence(seen)
            return PairVerdict(left, right, Verdict(MatchClass(name), Orientation(orientation), shown))
        except (ValueError, TypeError, KeyError) as error:
            raise damaged(self._database.path, f"a proof: {error}") from error


def _evidence(seen: dict[str, Any]) -> Evidence:
    inliers, bad_share, coverage_left, coverage_right = seen["numbers"]
    words, reversed_words = tuple(seen["words"]), tuple(seen["reversed"])
    drawn_over = seen.get("drawn")
    return Evidence(words, inliers, bad_share, coverage_left, coverage_right, reversed_words, drawn_over)


def forget_unknown(database: Database) -> None:
    """Drop what is known of contents that are not in the index any more, inside a transaction of the caller."""
    known = "SELECT digest FROM contents"
    database.execute(f"DELETE FROM proofs WHERE left NOT IN ({known}) OR right NOT IN ({known})")  # noqa: S608 - constant
    database.execute(f"DELETE FROM verified WHERE digest NOT IN ({known})")  # noqa: S608 - constant


def unmark_departed(database: Database) -> None:
    """Take the marks from contents of an SQLite index that no file has."""
    departed = """
        SELECT c.digest FROM departed d JOIN contents c ON c.number = d.content
        WHERE NOT EXISTS (SELECT 1 FROM files WHERE content = d.content)
    """
    with database.transaction():
        database.execute(f"DELETE FROM verified WHERE digest IN ({departed})")  # noqa: S608 - constant


def _row(left: bytes, right: bytes, version: int, proof: PairVerdict) -> Row:
    verdict = proof.verdict
    if verdict is None:
        return (left, right, version, None, int(Orientation.UPRIGHT), None)
    seen = verdict.evidence
    figures = [seen.inliers, seen.bad_share, seen.coverage_left, seen.coverage_right]
    known = {"words": seen.words, "reversed": seen.words_reversed, "numbers": figures}
    evidence = json.dumps(known | {"drawn": seen.right_is_drawn_over})
    return (left, right, version, verdict.match_class.value, int(verdict.orientation), evidence)

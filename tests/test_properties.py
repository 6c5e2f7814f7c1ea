"""What is true of every library, every choice of rules, and every order of the files."""

from __future__ import annotations

import io
import os
import random
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from py_image_dedup.matching.criteria import Scope
from py_image_dedup.matching.matcher import scope_key
from py_image_dedup.model.events import ignore
from py_image_dedup.model.file import Inventory, Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.pipeline.find import find
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.pipeline.rank import GroupRanker, Ranked, rank
from py_image_dedup.ranking.ranker import Ranker
from py_image_dedup.ranking.rules import RULES, parse_rule
from py_image_dedup.removal.quarantine import MANIFEST_NAME
from py_image_dedup.removal.undo import undo
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.signature.orientation import ORIENTATIONS, orient_signature
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.entries import VERSIONS, entry, signature
from tests.support.libraries import Library
from tests.support.pictures import picture
from tests.support.signatures import distance

ROOTS = (Root(Path("/p")), Root(Path("/p/q")), Root(Path("/o"), protected=True))
REMOVABLE = (
    frozenset({MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR}),
    frozenset({MatchClass.IDENTICAL}),
)


@dataclass(frozen=True)
class Case:
    """A library of entries, and what is asked of it."""

    entries: tuple[IndexEntry, ...]
    options: FindOptions
    rules: tuple[str, ...]
    removable: frozenset[MatchClass]


@st.composite
def files(draw: st.DrawFn) -> IndexEntry:
    folder = draw(st.sampled_from(["/p", "/p/a", "/p/q", "/p/q/b", "/o"]))
    name = draw(st.sampled_from(["a.jpg", "b.jpg", "b copy.jpg", "cc.jpg"]))
    photo, change = draw(st.integers(0, 1)), draw(st.sampled_from([0, 8, 16, 24, 32, 40]))
    signed, whole = draw(st.integers(0, 5)) > 0, draw(st.integers(0, 9)) > 0
    return entry(
        f"{folder}/{name}",
        f"{photo} {change} {signed} {whole}",
        size=1000 + change,
        mtime=draw(st.sampled_from([1000, 1060, 2000])),
        width=400 + change,
        whole=whole,
        signed=signature(photo, change) if signed else None,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    return Case(
        tuple(draw(st.lists(files(), max_size=12, unique_by=lambda file: file.stat.path))),
        FindOptions(
            max_distance=draw(st.sampled_from([0.0, 0.08, 0.12, 0.2])),
            scope=draw(st.sampled_from(list(Scope))),
            max_file_modification_time_diff=draw(st.sampled_from([None, 60.0, 0.0])),
            compare_pixels=False,
        ),
        tuple(draw(st.lists(st.sampled_from(sorted(RULES)), max_size=3))),
        draw(st.sampled_from(REMOVABLE)),
    )


def ranked(case: Case, order: list[int]) -> Ranked:
    entries = [case.entries[place] for place in order]
    inventory = Inventory(ROOTS, {file.stat.raw_path: file.stat.stamp for file in entries})
    ranker = Ranker(
        tuple(parse_rule(rule) for rule in case.rules), Ownership(ROOTS).is_protected, case.options.max_distance
    )
    with tempfile.TemporaryDirectory() as folder, SqliteStore(Path(folder) / "index.sqlite3") as store:
        for file in entries:
            store.put([file])
        found = find(inventory, store, VERSIONS, case.options, observer=ignore, should_stop=lambda: False)
        group_ranker = GroupRanker(found.matcher, ranker, case.removable)
        return rank(found.groups, group_ranker, observer=ignore, should_stop=lambda: False)


def matching(one: IndexEntry, other: IndexEntry, options: FindOptions) -> MatchClass | None:
    """The definition, by looking at two files and at nothing else."""
    key = scope_key(options.scope, Ownership(ROOTS))
    gap = options.max_file_modification_time_diff
    if key(one.stat.raw_path) != key(other.stat.raw_path):
        return None
    if options.scope is Scope.AGAINST:
        one_side, other_side = (Ownership(ROOTS).is_protected(file.stat.raw_path) for file in (one, other))
        if one_side == other_side:
            return None
    if gap is not None and abs(one.stat.mtime_ns - other.stat.mtime_ns) > gap * 1e9:
        return None
    if one.digest == other.digest:
        return MatchClass.IDENTICAL
    if one.signature is None or other.signature is None:
        return None
    left, right = (np.frombuffer(file.signature.values, dtype=np.int8) for file in (one, other) if file.signature)
    nearest = min(distance(orient_signature(left, orientation), right) for orientation in ORIENTATIONS)
    return MatchClass.SIMILAR if nearest <= options.max_distance > 0 else None


def removed(result: Ranked) -> list[IndexEntry]:
    return [redundant.entry for group in result.groups for redundant in group.redundant]


@settings(max_examples=60, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_groups_are_what_they_promise_in_every_library(case: Case, shuffler: random.Random) -> None:
    order = list(range(len(case.entries)))
    result = ranked(case, order)
    gone = removed(result)
    keepers = [group.keeper for group in result.groups]
    protected = Ownership(ROOTS).is_protected

    paths = [file.stat.path for file in (*gone, *keepers)]
    assert len(set(paths)) == len(paths), "groups are disjoint and no keeper goes"
    assert not any(protected(file.stat.raw_path) for file in gone), "protected files stay"
    for group in result.groups:
        for redundant in group.redundant:
            direct = matching(group.keeper, redundant.entry, case.options)
            assert redundant.match.left == group.keeper
            assert redundant.match.match_class == direct, "every redundant file matches its keeper itself"
            assert direct in case.removable
            assert group.keeper.decoded_whole >= redundant.entry.decoded_whole, "a broken file never wins"

    staying = [file for file in case.entries if file not in gone]
    for place, one in enumerate(staying):
        for other in staying[place + 1 :]:
            both_protected = protected(one.stat.raw_path) and protected(other.stat.raw_path)
            assert (
                both_protected
                or matching(one, other, case.options) not in case.removable
                or (keeps_a_broken_protected_file(one, other))
            ), "what may go and has a better copy that stays has gone"
    if case.removable == {MatchClass.IDENTICAL}:
        assert {file.digest for file in staying} == {file.digest for file in case.entries}
    told = [match.right.stat.path for match in result.reported]
    assert len(set(told)) == len(told)
    assert not set(told) & {file.stat.path for file in gone}

    shuffler.shuffle(order)
    again = ranked(case, order)
    assert again.groups == result.groups, "the order of the files does not matter"
    assert again.reported == result.reported


def keeps_a_broken_protected_file(one: IndexEntry, other: IndexEntry) -> bool:
    """A whole file is not given up for a protected one that is broken, and that one cannot go either."""
    protected = Ownership(ROOTS).is_protected
    for file, better in ((one, other), (other, one)):
        if protected(file.stat.raw_path) and not file.decoded_whole and better.decoded_whole:
            return True
    return False


EDITS = ("a.png", "a.bmp", "q90.jpg", "q60.jpg", "small.jpg", "turned.png")


@cache
def photograph(seed: int, edit: str) -> bytes:
    """The bytes of a photo, edited; made once."""
    image = picture(seed, 128, 96)
    if edit.startswith("small"):
        image = image.resize((96, 72))
    if edit.startswith("turned"):
        image = image.rotate(90, expand=True)
    stream = io.BytesIO()
    quality = {"quality": int(edit[1:3])} if edit.startswith("q") else {}
    image.save(stream, format={"png": "PNG", "bmp": "BMP", "jpg": "JPEG"}[edit.rpartition(".")[2]], **quality)
    return stream.getvalue()


FOLDERS = st.sampled_from(["", "x", "x/y", "originals"])
PHOTOS = st.tuples(
    FOLDERS, st.sampled_from(["1", "2 copy", "(3)", "é"]), st.integers(1, 2), st.sampled_from(EDITS),
    st.integers(0, 2),
)  # fmt: skip


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST_NAME
    }


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(PHOTOS, min_size=1, max_size=9, unique_by=lambda photo: (photo[0], photo[1], photo[3])),
    st.lists(st.sampled_from(sorted(RULES)), max_size=3),
    st.sampled_from(list(Scope)),
)
def test_nothing_is_lost_and_an_undo_gives_everything_back(
    photos: list[tuple[str, str, int, str, int]], rules: list[str], scope: Scope
) -> None:
    with tempfile.TemporaryDirectory() as name:
        library = Library(Path(name))
        (library.photos / "originals").mkdir()
        for folder, stem, seed, edit, minutes in photos:
            path = library.photos / folder / f"{stem} {edit}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photograph(seed, edit))
            os.utime(path, (1_600_000_000, 1_600_000_000 + 60 * minutes))
        before = tree(library.photos)
        roots = (Root(library.photos), Root(library.photos / "originals", protected=True))
        options = library.options(scope=scope, rules=rules)
        dry = library.run(*roots, options=options)
        assert tree(library.photos) == before
        result = library.run(*roots, dry_run=False, options=options)
        assert result.error is None
        assert result.groups == dry.groups
        assert all(outcome.status is OutcomeStatus.DONE for outcome in result.outcomes)

        after = tree(library.photos)
        assert {content for content, _ in after.values()} == {content for content, _ in before.values()}, (
            "every picture is still there, or in quarantine"
        )
        gone = {str(o.action.source.path.relative_to(library.photos)) for o in result.outcomes}
        assert not any(name.startswith("originals/") for name in gone)
        assert {name: content for name, content in before.items() if name not in gone} == {
            name: content for name, content in after.items() if not name.startswith(".py-image-dedup")
            and "/.py-image-dedup" not in name
        }  # fmt: skip
        assert library.run(*roots, options=options).groups == (), "a second run finds nothing more"

        if result.outcomes:
            undo(library.state / "runs" / result.run)
        assert tree(library.photos) == before

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from py_image_dedup.matching.criteria import Scope
from py_image_dedup.model.events import Event, PhaseAdvanced, PhaseFinished, PhaseStarted, ignore
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import FileStat, Inventory, Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.photo import IndexEntry, Signature, Versions
from py_image_dedup.pipeline.find import Found, find
from py_image_dedup.pipeline.options import NEAR, FindOptions
from py_image_dedup.pipeline.rank import GroupRanker, rank
from py_image_dedup.pipeline.same_pixels import Copies, near_candidates, same_pixels
from py_image_dedup.ranking.ranker import Ranker
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.entries import VERSIONS, entry, signature
from tests.support.pictures import picture, write

ROOT = Root(Path("/p"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "index.sqlite3") as opened:
        yield opened


def inventory(*entries: IndexEntry) -> Inventory:
    return Inventory((ROOT,), {file.stat.raw_path: file.stat.stamp for file in entries})


def search(store: SqliteStore, files: Inventory, **options: object) -> Found:
    chosen = replace(FindOptions(scope=Scope.ALL, compare_pixels=False), **options)  # type: ignore[arg-type]
    return find(files, store, VERSIONS, chosen, observer=ignore, should_stop=lambda: False)


def names(found: Found) -> list[str]:
    return ["".join(file.stat.path.stem for file in group.entries) for group in found.groups]


def test_files_joined_by_bytes_or_by_signatures_are_one_group(store: SqliteStore) -> None:
    files = [
        entry("/p/a.jpg", "x", signed=signature(1)),
        entry("/p/b.jpg", "x", signed=signature(1)),
        entry("/p/c.jpg", signed=signature(1, change=6)),
        entry("/p/d.jpg", signed=signature(2)),
        entry("/p/e.jpg", "flat"),
        entry("/p/f.jpg", "flat"),
    ]
    store.put(files)
    assert names(search(store, inventory(*files))) == ["abc", "ef"]


def test_an_entry_that_describes_another_state_of_its_file_takes_no_part(store: SqliteStore) -> None:
    files = [entry("/p/a.jpg", "x"), entry("/p/b.jpg", "x"), entry("/p/c.jpg", "x")]
    store.put(files)
    changed = replace(files[0], stat=replace(files[0].stat, mtime_ns=1))
    assert names(search(store, inventory(changed, *files[1:]))) == ["bc"]


def test_an_entry_of_an_older_method_takes_no_part(store: SqliteStore) -> None:
    files = [entry("/p/a.jpg", signed=signature(1)), entry("/p/b.jpg", signed=signature(1, change=2))]
    store.put([files[0], replace(files[1], versions=Versions(media=1, signature=0))])
    assert names(search(store, inventory(*files))) == []


def test_a_library_of_thousands_of_alike_pictures_is_one_group(store: SqliteStore) -> None:
    random = np.random.default_rng(1)
    base = np.frombuffer(signature(1).values, dtype=np.int8)
    files = []
    for number in range(1500):
        values = base.copy()
        values[random.integers(0, 272, 2)] = 0
        files.append(entry(f"/p/{number:04}.jpg", signed=Signature(values.tobytes())))
    store.put(files)
    found = search(store, inventory(*files))
    assert [len(group.entries) for group in found.groups] == [1500]
    ranked = rank(
        found.groups, GroupRanker(found.matcher, Ranker((), lambda _: False, 0.1), frozenset({MatchClass.SIMILAR})),
        observer=ignore, should_stop=lambda: False,
    )  # fmt: skip
    assert sum(len(group.redundant) for group in ranked.groups) + len(ranked.groups) == 1500


def test_ranking_stops_when_it_is_told_to(store: SqliteStore) -> None:
    files = [entry("/p/a.jpg", "x"), entry("/p/b.jpg", "x")]
    store.put(files)
    found = search(store, inventory(*files))
    ranked = rank(
        found.groups, GroupRanker(found.matcher, Ranker((), lambda _: False, 0.1), frozenset({MatchClass.IDENTICAL})),
        observer=ignore, should_stop=lambda: True,
    )  # fmt: skip
    assert ranked.groups == ()


def test_a_ranked_group_holds_no_features(store: SqliteStore) -> None:
    files = [replace(entry(f"/p/{name}.jpg", "x"), features=b"points") for name in "ab"]
    store.put(files)
    found = search(store, inventory(*files))
    ranked = rank(
        found.groups, GroupRanker(found.matcher, Ranker((), lambda _: False, 0.1), frozenset({MatchClass.IDENTICAL})),
        observer=ignore, should_stop=lambda: False,
    )  # fmt: skip
    (group,) = ranked.groups
    assert [file.features for file in (group.keeper, group.redundant[0].match.left, group.redundant[0].entry)] == [
        None, None, None,
    ]  # fmt: skip


def candidates(*entries: IndexEntry) -> set[str]:
    return {file.stat.path.stem for some in near_candidates(entries, lambda _: None) for file in some}


def test_of_one_format_only_equal_signatures_can_have_equal_pixels() -> None:
    first, same, near = (entry(f"/{n}.jpg", signed=signature(1, change=c)) for n, c in (("a", 0), ("b", 0), ("c", 1)))
    assert candidates(first, same, near) == {"a", "b"}
    assert candidates(first, near) == set()


def test_of_different_formats_near_signatures_can_have_equal_pixels() -> None:
    jpeg, png = entry("/a.jpg", signed=signature(1)), entry("/b.png", signed=signature(1, 1), image_format="PNG")
    assert candidates(jpeg, png) == {"a", "b"}


@pytest.mark.parametrize("other", [entry("/b.jpg", width=401), entry("/b.jpg", whole=False), entry("/b.jpg", "/a.jpg")])
def test_other_sizes_broken_files_and_equal_bytes_are_no_candidates(other: IndexEntry) -> None:
    assert candidates(entry("/a.jpg"), other) == set()


def test_files_that_are_not_near_are_no_candidates() -> None:
    found = near_candidates([entry("/a.jpg"), entry("/b.jpg")], lambda file: file.stat.path)
    assert found == []


def test_each_content_is_looked_at_once_and_known_ones_not_at_all() -> None:
    known = [entry("/a.jpg", "x", pixel_digest=b"p"), entry("/b.jpg", "x")]
    fresh = [entry("/c.jpg", "y"), entry("/d.jpg", "y")]
    decoded: list[Copies] = []
    digests = same_pixels([[*known, *fresh]], lambda copies: decoded.extend(copies) or {})
    assert list(digests.values()) == [b"p"]
    assert decoded == [(fresh[0],)]


def analysed(path: Path, content: str, signed: Signature, form: str = "JPEG") -> IndexEntry:
    status = path.stat()
    stat = FileStat(path, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    return replace(entry(str(path), content, signed=signed, image_format=form), stat=stat)


def compare(store: SqliteStore, *files: IndexEntry) -> tuple[Found, list[Event]]:
    told: list[Event] = []
    listed = Inventory((Root(files[0].stat.path.parent),), {f.stat.raw_path: f.stat.stamp for f in files})
    store.put(files)
    options = FindOptions(scope=Scope.ALL)
    return find(listed, store, VERSIONS, options, observer=told.append, should_stop=lambda: False), told


def test_pixels_are_compared_and_remembered(store: SqliteStore, tmp_path: Path) -> None:
    photos = [write(tmp_path / name, picture(1, 64, 48)) for name in ("a.png", "b.bmp")]
    files = [analysed(photo, photo.suffix, signature(1), photo.suffix) for photo in photos]
    found, told = compare(store, *files)
    (group,) = found.groups
    assert group.entries[0].pixel_digest == group.entries[1].pixel_digest is not None
    (match,) = found.matcher.matches(group.entries[0], group.entries[1:])
    assert match is not None
    assert match.match_class is MatchClass.SAME_PIXELS
    assert [file.pixel_digest for file in store.entries(None)] == [file.pixel_digest for file in group.entries]
    assert told == [
        PhaseStarted(Phase.FIND, unit="pictures compared"),
        PhaseAdvanced(Phase.FIND),
        PhaseAdvanced(Phase.FIND),
        PhaseFinished(found.summary),
    ]
    again, told = compare(store, *group.entries)
    assert again.groups == found.groups
    assert PhaseAdvanced(Phase.FIND) not in told


def test_a_picture_that_cannot_be_compared_equals_itself_only_and_is_not_tried_again(
    store: SqliteStore, tmp_path: Path
) -> None:
    good, bad = write(tmp_path / "a.png", picture(1, 64, 48)), tmp_path / "b.png"
    bad.write_bytes(b"no picture at all")
    files = [analysed(good, "good", signature(1)), analysed(bad, "bad", signature(1))]
    found, _ = compare(store, *files)
    entries = found.groups[0].entries
    assert entries[1].pixel_digest == entries[1].digest != entries[0].pixel_digest
    (match,) = found.matcher.matches(entries[0], entries[1:])
    assert match is not None
    assert match.match_class is MatchClass.SIMILAR


def test_a_file_that_changed_since_its_analysis_is_not_compared(store: SqliteStore, tmp_path: Path) -> None:
    photos = [write(tmp_path / name, picture(1, 64, 48)) for name in ("a.png", "b.bmp")]
    files = [analysed(photo, photo.suffix, signature(1), photo.suffix) for photo in photos]
    write(photos[1], picture(2, 64, 49))
    found, _ = compare(store, *files)
    assert found.groups[0].entries[1].pixel_digest is None


def test_pixels_of_a_jpeg_and_its_lossless_copy_are_candidates(
    photos: Path, store: SqliteStore, tmp_path: Path
) -> None:
    """The bound ``NEAR`` holds on real photographs."""
    from PIL import Image

    from py_image_dedup.media.decoder import Decoder
    from py_image_dedup.media.opened_file import read_file
    from py_image_dedup.signature.compute import compute
    from py_image_dedup.signature.distance import distances

    def values(decoder: Decoder, path: Path) -> np.ndarray:
        with read_file(path) as opened:
            signed = compute(decoder.decode(opened).canonical)
        assert signed is not None
        return np.frombuffer(signed.values, dtype=np.int8)

    jpegs = (
        sorted((photos / "bsds500" / "test").glob("*.jpg"))[::20]
        + sorted((photos / "look-alikes" / "receipts").glob("*.jpg"))[::8]
    )
    assert len(jpegs) > 10
    with Decoder() as decoder:
        for jpeg in jpegs:
            copy = tmp_path / "copy.png"
            with Image.open(jpeg) as image:
                image.convert("RGB").save(copy, compress_level=1)
            distance, _ = distances(values(decoder, jpeg), values(decoder, copy)[None])
            assert distance[0] <= NEAR

"""Files with the same image data are the same picture undecoded; of the others each picture is decoded once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.matching.criteria import Matching
from py_image_dedup.media.limits import Limits
from py_image_dedup.model.events import ignore
from py_image_dedup.model.file import FileStat, Root
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.pipeline.options import FindOptions
from py_image_dedup.pipeline.same_pixels import Copies, PixelComparison, same_pixels
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.entries import entry
from tests.support.pictures import picture, write


class Decoding:
    """Stands for the decoder: what was decoded, and the pixels by the name of a file."""

    def __init__(self, **pixels: bytes) -> None:
        self.pixels = pixels
        self.asked: list[list[str]] = []

    def __call__(self, candidates: Sequence[Copies]) -> Mapping[bytes, bytes]:
        self.asked += [[each.stat.path.stem for each in copies] for copies in candidates]
        return {
            each.digest: self.pixels[copies[0].stat.path.stem]
            for copies in candidates
            for each in copies
            if each.digest is not None and copies[0].stat.path.stem in self.pixels
        }


def file(name: str, data: bytes | None = None, pixels: bytes | None = None, content: str | None = None) -> IndexEntry:
    return replace(entry(f"/p/{name}.jpg", content, pixel_digest=pixels), image_data_digest=data)


def by_name(files: Sequence[IndexEntry], found: Mapping[bytes, bytes]) -> dict[str, bytes]:
    return {each.stat.path.stem: found[each.digest] for each in files if each.digest in found}


def test_copies_with_the_same_image_data_are_equal_without_decoding() -> None:
    decoding = Decoding()
    files = [file("a", b"data"), file("b", b"data"), file("c", b"data")]
    found = by_name(files, same_pixels([files], decoding))
    assert found.keys() == {"a", "b", "c"}
    assert len(set(found.values())) == 1
    assert decoding.asked == []


def test_of_different_image_data_one_file_each_is_decoded_for_all_its_copies() -> None:
    decoding = Decoding(a=b"picture", c=b"picture", d=b"another")
    files = [file("a", b"1"), file("b", b"1"), file("c", b"2"), file("d"), file("e", b"1", content="/p/a.jpg")]
    assert by_name(files, same_pixels([files], decoding)) == {
        "a": b"picture", "b": b"picture", "c": b"picture", "d": b"another", "e": b"picture",
    }  # fmt: skip
    assert decoding.asked == [["a", "b"], ["c"], ["d"]]


def test_what_is_known_of_one_copy_is_known_of_all() -> None:
    decoding = Decoding(c=b"pixels")
    files = [file("a", b"1", pixels=b"pixels"), file("b", b"1"), file("c", b"2")]
    assert set(by_name(files, same_pixels([files], decoding)).values()) == {b"pixels"}
    assert decoding.asked == [["c"]]


def test_a_picture_of_several_sets_has_one_digest() -> None:
    decoding = Decoding(a=b"pixels", c=b"pixels")
    files = [file("a", b"1"), file("b", b"1"), file("c", b"2")]
    assert set(by_name(files, same_pixels([files[:2], files], decoding)).values()) == {b"pixels"}


def test_a_file_that_cannot_be_read_has_no_digest() -> None:
    files = [file("a", b"1"), file("b", b"2")]
    assert by_name(files, same_pixels([files], Decoding(a=b"pixels"))) == {"a": b"pixels"}


def test_entries_of_an_older_index_are_decoded() -> None:
    decoding = Decoding(a=b"pixels", b=b"pixels")
    files = [file("a"), file("b")]
    assert set(by_name(files, same_pixels([files], decoding)).values()) == {b"pixels"}
    assert decoding.asked == [["a"], ["b"]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "state" / "index.sqlite3") as opened:
        yield opened


def on_disk(path: Path, data: bytes) -> IndexEntry:
    status = path.stat()
    stat = FileStat(path, status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    return replace(file(path.stem, data), stat=stat)


def compare(store: SqliteStore, *candidates: Copies) -> dict[bytes, bytes]:
    return PixelComparison(store, 1, Limits(), ignore, lambda: False).digests(candidates)


def test_the_digest_of_one_copy_is_kept_with_all_of_them(store: SqliteStore, tmp_path: Path) -> None:
    copies = tuple(on_disk(write(tmp_path / f"{name}.png", picture(1, 40, 30)), b"d" * 32) for name in "ab")
    store.put(copies)
    found = compare(store, copies)
    assert len(found) == 2
    assert [each.pixel_digest for each in store.entries(None)] == list(found.values())
    assert len(set(found.values())) == 1


def test_where_one_copy_has_changed_another_one_is_decoded(store: SqliteStore, tmp_path: Path) -> None:
    copies = tuple(on_disk(write(tmp_path / f"{name}.png", picture(1, 40, 30)), b"d" * 32) for name in "abc")
    expected = compare(store, copies)
    copies[0].stat.path.unlink()
    write(copies[1].stat.path, picture(2, 41, 30))
    assert compare(store, copies) == expected
    copies[2].stat.path.unlink()
    assert compare(store, copies) == {}


def test_copies_that_cannot_be_compared_equal_each_other_and_nothing_else(store: SqliteStore, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(b"no picture")
    copies = tuple(on_disk(tmp_path / f"{name}.png", b"d" * 32) for name in "ab")
    assert list(compare(store, copies).values()) == [b"d" * 32] * 2


def tagged(path: Path, seed: int, text: str) -> Path:
    """A photo that is compressed as all others of its seed, with its own metadata and bytes behind its end."""
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = text
    write(path, picture(seed, 400, 300), quality=90, exif=exif.tobytes())
    with path.open("ab") as stream:
        stream.write(text.encode())
    return path


@pytest.mark.parametrize("matching", Matching)
def test_a_library_whose_tags_were_rewritten_is_not_decoded_again(
    matching: Matching, store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise AssertionError("a file was decoded for its pixel digest")

    monkeypatch.setattr("py_image_dedup.media.decoder.Decoder.pixel_digest", refuse)
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in (1, 2, 3):
        for text in ("one", "two", "three"):
            tagged(photos / f"{seed} {text}.jpg", seed, text)
    options = Options(find=FindOptions(matching=matching), inspect=False)
    result = Deduplicator(store, options).deduplicate([Root(photos)], dry_run=True)
    assert result.error is None
    assert [len(group.redundant) for group in result.groups] == [2, 2, 2]
    assert {each.match.match_class for group in result.groups for each in group.redundant} == {MatchClass.SAME_PIXELS}
    [find] = [phase for phase in result.phases if phase.phase.value == "find"]
    assert find.counts["compared"] == 9
    if matching is Matching.VERIFIED:
        assert find.counts["verified"] <= 9, "36 pairs of copies are 9 pairs of pictures"

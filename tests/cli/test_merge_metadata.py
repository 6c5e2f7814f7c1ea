"""``--merge-metadata sidecar``: shown before, written with a removal, taken back by undo; what is in doubt stays."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from py_image_dedup import find_duplicates
from py_image_dedup.media.decoder import Decoder
from py_image_dedup.media.opened_file import opened
from py_image_dedup.model.file import FileStat
from py_image_dedup.xmp.merging import Merger
from py_image_dedup.xmp.packet import merged, read
from py_image_dedup.xmp.properties import NotMerged, Properties
from tests.cli.program import Program, contents
from tests.support.pictures import picture, write
from tests.xmp.test_packet import face

LAKE: Properties = {"dc:title": ("The lake",), "dc:subject": ("lake",)}
SIZE = (320, 240)


def xmp(properties: Mapping[str, tuple[str, ...]]) -> dict[str, bytes]:
    """The option of Pillow that saves these properties."""
    return {"xmp": merged(b"", properties, SIZE)}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A program whose index has the comparisons of the photos, so that each test need not wait for them."""
    program = Program(tmp_path_factory.mktemp("home"))
    write(program.home / "photos" / "large.jpg", picture(1, 640, 480))
    write(program.home / "photos" / "sent" / "small.jpg", picture(1, 640, 480).resize(SIZE), **xmp(LAKE))
    return program


@pytest.fixture
def photos(shared: Program) -> Iterator[Path]:
    """A large photo without metadata, and a smaller copy that has some; given back as they were."""
    folder = shared.home / "photos"
    before = contents(folder)
    yield folder
    shared.call("undo")
    assert contents(folder) == before


def result(program: Program, *arguments: str | Path) -> dict[str, Any]:
    ended = program.call("deduplicate", *arguments, "--merge-metadata", "sidecar", "--output", "json")
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_a_dry_run_shows_what_would_be_written_and_writes_nothing(shared: Program, photos: Path) -> None:
    before = contents(photos)
    ended = shared.call("deduplicate", photos, "--merge-metadata", "sidecar")
    assert "its metadata (title, keywords) to large.jpg.xmp" in ended.out
    assert contents(photos) == before


def test_a_run_writes_them_and_an_undo_gives_the_folder_back(shared: Program, photos: Path) -> None:
    before = contents(photos)
    redundant = result(shared, photos, "--no-dry-run", "--yes")["groups"][0]["redundant"][0]
    assert redundant["sidecar"]["path"] == str(photos / "large.jpg.xmp")
    assert redundant["outcome"] == "done"
    assert read((photos / "large.jpg.xmp").read_bytes()) == LAKE
    assert (photos / "large.jpg").read_bytes() == before["large.jpg"]
    assert shared.call("undo").code == 0
    assert contents(photos) == before


def test_a_saved_plan_writes_them_too(shared: Program, photos: Path) -> None:
    run = result(shared, photos)["run"]
    assert shared.call("apply", shared.state / "runs" / run / "plan.json", "--yes").code == 0
    assert read((photos / "large.jpg.xmp").read_bytes()) == LAKE


def test_python_merges_faces_too_as_the_index_knows_that_nothing_is_rotated(tmp_path: Path) -> None:
    large = write(tmp_path / "photos" / "large.jpg", picture(1, 640, 480))
    faces: Properties = {"mwg-rs:Regions": (face("Ada"),)}
    write(tmp_path / "photos" / "small.jpg", picture(1, 640, 480).resize(SIZE), **xmp(faces))
    found = find_duplicates(tmp_path / "photos", state_directory=tmp_path / "state")
    (outcome,) = found.move_to(tmp_path / "moved", merge_metadata=True)
    assert outcome.status == "done"
    sidecar = large.with_name("large.jpg.xmp")
    assert len(read(sidecar.read_bytes())["mwg-rs:Regions"]) == 1
    found.undo()
    assert not sidecar.exists()


def test_without_the_option_no_sidecar_is_written(shared: Program, photos: Path) -> None:
    assert shared.call("deduplicate", photos, "--no-dry-run", "--yes").code == 0
    assert not list(photos.rglob("*.xmp"))


def test_a_photo_of_a_protected_keeper_stays_with_the_reason(shared: Program, photos: Path) -> None:
    originals = shared.home / "originals"
    originals.mkdir()
    shutil.copy2(photos / "large.jpg", originals)
    found = result(shared, photos / "sent", "--against", originals)
    assert found["groups"] == []
    assert found["reported"][0]["inspection"]["reason"] == (
        "It has metadata that the other lacks (title, keywords), "
        "and the other is in a protected folder, where nothing is written."
    )


def stat_of(path: Path) -> FileStat:
    with opened(path) as (_, stat):
        return stat


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[FileStat, FileStat]:
    """A keeper with a title of its own, and a smaller copy with faces, keywords and another title."""
    folder = tmp_path_factory.mktemp("pair")
    keeper = write(folder / "k.jpg", picture(1), **xmp({"dc:title": ("Mine",), "dc:subject": ("own",)}))
    small = picture(1).resize((160, 120))
    source = write(folder / "s.jpg", small, **xmp({**LAKE, "mwg-rs:Regions": (face("Ada"),)}))
    return stat_of(keeper), stat_of(source)


def merger(decoder: Decoder, *sidecars: Path, why_not: str | None = None) -> Merger:
    return Merger(decoder, lambda _: sidecars, lambda _: why_not)


def test_faces_go_only_to_a_picture_that_shows_the_same_view(pair: tuple[FileStat, FileStat]) -> None:
    keeper, source = pair
    with Decoder() as decoder:
        merge = merger(decoder).merge(source, keeper, same_view=True)
        with pytest.raises(NotMerged, match="It has faces that the other lacks"):
            merger(decoder).merge(source, keeper, same_view=False)
    assert merge is not None
    assert dict(merge.properties).keys() == {"dc:subject", "mwg-rs:Regions"}
    assert dict(merge.properties)["dc:subject"] == ("own", "lake")
    assert (merge.path.name, merge.width, merge.height) == ("k.jpg.xmp", *SIZE)


def test_a_sidecar_that_is_there_is_used_and_has_its_say(pair: tuple[FileStat, FileStat], tmp_path: Path) -> None:
    keeper, source = pair
    sidecar = tmp_path / "k.xmp"
    sidecar.write_bytes(merged(b"", {"dc:subject": ("own", "lake"), "mwg-rs:Regions": (face("Ada"),)}, SIZE))
    with Decoder() as decoder:
        assert merger(decoder, sidecar).merge(source, keeper, same_view=True) is None
        sidecar.write_bytes(merged(b"", {"dc:subject": ("own",)}, SIZE))
        merge = merger(decoder, sidecar).merge(source, keeper, same_view=True)
    assert merge is not None
    assert merge.path == sidecar
    assert dict(merge.properties)["dc:subject"] == ("lake",)


def test_what_one_file_gives_is_not_given_by_the_next(pair: tuple[FileStat, FileStat]) -> None:
    keeper, source = pair
    with Decoder() as decoder:
        both = merger(decoder)
        assert both.merge(source, keeper, same_view=True) is not None
        assert both.merge(source, keeper, same_view=True) is None


@pytest.mark.parametrize(
    ("content", "message"), [(b"<no xmp", "The metadata of the other cannot be read: it is no XML"), (b"", None)]
)
def test_a_damaged_sidecar_of_the_keeper_keeps_the_file(
    content: bytes, message: str | None, pair: tuple[FileStat, FileStat], tmp_path: Path
) -> None:
    keeper, source = pair
    sidecar = tmp_path / "k.xmp"
    sidecar.write_bytes(content)
    with Decoder() as decoder:
        if message is None:
            assert merger(decoder, sidecar).merge(source, keeper, same_view=True) is not None
            return
        with pytest.raises(NotMerged, match=message):
            merger(decoder, sidecar).merge(source, keeper, same_view=True)


def test_metadata_that_cannot_be_read_or_written_keep_the_file(pair: tuple[FileStat, FileStat], tmp_path: Path) -> None:
    keeper, source = pair
    broken = stat_of(write(tmp_path / "b.jpg", picture(2, 64, 48), xmp=b"<x:xmpmeta"))
    with Decoder() as decoder:
        with pytest.raises(NotMerged, match="Its metadata cannot be read, so they could be lost: it is no XML"):
            merger(decoder).merge(broken, keeper, same_view=True)
        with pytest.raises(NotMerged, match="they could be lost: it was changed since it was analysed"):
            merger(decoder).merge(replace(source, size=1), keeper, same_view=True)
        with pytest.raises(NotMerged, match=r"\(keywords, faces\), and it is Sunday\."):
            merger(decoder, why_not="it is Sunday").merge(source, keeper, same_view=True)

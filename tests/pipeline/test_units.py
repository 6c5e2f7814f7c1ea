"""Photos of several files are ranked and planned as one; what is in doubt stays. Nothing is decoded here."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from blake3 import blake3

from py_image_dedup.matching.matcher import DistanceMatcher, Eligibility
from py_image_dedup.model.events import ignore, never
from py_image_dedup.model.file import FileStat, Root
from py_image_dedup.model.match import Group, MatchClass
from py_image_dedup.model.photo import IndexEntry, PhotoFacts, Versions
from py_image_dedup.model.plan import Plan
from py_image_dedup.pipeline.rank import GroupRanker, Ranked, rank
from py_image_dedup.pipeline.units import Coverage, UnitMatcher, joined, settled, units_around
from py_image_dedup.ranking.ranker import Ranker
from py_image_dedup.ranking.rules import parse_identical_rules
from py_image_dedup.removal.plan import ActionChoice, RemovalOptions, make_plan
from py_image_dedup.scan.roots import Ownership
from py_image_dedup.scan.selector import Selector
from py_image_dedup.scan.walker import walk
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.live_photos import film

REMOVABLE = frozenset({MatchClass.IDENTICAL, MatchClass.SAME_PIXELS, MatchClass.SIMILAR})
PHOTO = {"IMG_1.JPG": b"picture", "IMG_1.DNG": b"values", "IMG_1.xmp": b"rating 5"}


@dataclass(frozen=True)
class Decided:
    """What was ranked, and the plan for it, by paths below the root."""

    root: Path
    ranked: Ranked
    plan: Plan

    @property
    def removed(self) -> dict[str, str]:
        return {self.name(each.source.path): self.name(each.keeper.path) for each in self.plan.actions}

    @property
    def reasons(self) -> dict[str, str]:
        return {
            self.name(match.right.stat.path): match.inspection.reason
            for match in self.ranked.reported
            if match.inspection is not None
        }

    @property
    def targets(self) -> list[str]:
        return sorted(each.target.name for each in self.plan.actions if each.target is not None)

    def name(self, path: Path) -> str:
        return str(path.relative_to(self.root))


class Library:
    """Files of any bytes; equal bytes are one picture, and so are two DNG files of the same first line."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "photos"
        self.selector = Selector(frozenset({"jpg", "heic", "dng"}))
        self.roots: tuple[Root, ...] = (Root(self.root),)
        self.removal = RemovalOptions()
        self.taken: frozenset[str] = frozenset()

    def put(self, folder: str, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            path = self.root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def decide(self) -> Decided:
        inventory = walk(self.roots, self.selector)
        groups = tuple(grouped(entry(stat) for stat in inventory))
        units = units_around(each.stat.path for group in groups for each in group.entries)
        matcher = DistanceMatcher(0.1, Eligibility())
        with SqliteStore(self.root.parent / "index.sqlite3") as store:
            coverage = Coverage(units, matcher, REMOVABLE, inventory, self.selector, store)
            coverage.know(groups)
            rules = parse_identical_rules(["shorter-folder-path"])
            ranker = Ranker(rules, Ownership(self.roots).is_protected, 0.1, identical_rules=rules, units=units)
            group_ranker = GroupRanker(UnitMatcher(matcher, coverage), ranker, REMOVABLE, units)
            ranked = rank(joined(groups, units), group_ranker, observer=ignore, should_stop=never)
            ranked = settled(ranked, coverage)
        plan = make_plan("run", ranked.groups, inventory.roots, self.removal, units=ranked.units, taken=self._is_taken)
        return Decided(self.root, ranked, plan)

    def _is_taken(self, path: Path) -> bool:
        return path.name in self.taken


def entry(stat: FileStat) -> IndexEntry:
    content = stat.path.read_bytes()
    is_raw = stat.path.suffix.lower() == ".dng"
    return IndexEntry(
        stat,
        Versions(1, 1),
        blake3(content).digest(),
        PhotoFacts("RAW" if is_raw else "JPEG", 4, 3),
        pixel_digest=blake3(content.split(b"\n")[0]).digest() if is_raw else None,
    )


def grouped(entries: Iterable[IndexEntry]) -> Iterable[Group]:
    """Files of one first line, in groups."""
    found: dict[bytes, list[IndexEntry]] = {}
    for each in sorted(entries, key=lambda each: each.stat.raw_path):
        found.setdefault(each.pixel_digest or each.digest or b"", []).append(each)
    return (Group(tuple(same)) for same in found.values() if len(same) > 1)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def test_a_copy_of_all_parts_goes_and_each_part_for_its_own(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b/c", PHOTO)
    found = library.decide()
    assert found.removed == {f"b/c/{name}": f"a/{name}" for name in PHOTO}
    assert {(each.unit, each.parts) for each in found.plan.actions} == {(1, 3)}
    assert found.plan.actions[0].source.path.name == "IMG_1.JPG", "the picture leads"


def test_the_unit_with_more_parts_stays_whatever_the_rules_prefer(library: Library) -> None:
    library.put("a/long/path", PHOTO)
    library.put("b", {"IMG_1.JPG": PHOTO["IMG_1.JPG"]})
    library.put("c", {"IMG_1.DNG": PHOTO["IMG_1.DNG"]})
    assert library.decide().removed == {
        "b/IMG_1.JPG": "a/long/path/IMG_1.JPG",
        "c/IMG_1.DNG": "a/long/path/IMG_1.DNG",
    }


def test_of_two_whole_units_the_pictures_decide(library: Library) -> None:
    files = {"x.jpg": b"one", "x-edited.jpg": b"two", "x.dng": b"three", "x.jpg.json": b"four"}
    library.put("a/long/path", files)
    library.put("b", files)
    library.put("c", {"x-edited.jpg": b"two"})
    assert set(library.decide().removed.values()) == {f"b/{name}" for name in files}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("IMG_1.MOV", "It has a film (IMG_1.MOV) that the other lacks."),
        ("IMG_1.AAE", "It has edits in an AAE file (IMG_1.AAE) that the other lacks."),
        ("IMG_1.jpg.json", "It has a sidecar (JSON) (IMG_1.jpg.json) that the other lacks."),
    ],
)
def test_what_has_something_of_its_own_stays_with_the_reason(library: Library, name: str, reason: str) -> None:
    library.put("a", {"IMG_1.JPG": b"picture", "IMG_1.xmp": b"x", "IMG_1.pp3": b"y"})
    library.put("b", {"IMG_1.JPG": b"picture", name: b"z"})
    found = library.decide()
    assert found.removed == {}
    assert found.reasons == {"b/IMG_1.JPG": reason}


@pytest.mark.parametrize("part", ["IMG_1.xmp", "IMG_1.MOV"])
def test_a_sidecar_or_film_that_differs_keeps_the_photo(library: Library, part: str) -> None:
    for folder, content in (("a", b"one"), ("b", b"two")):
        library.put(folder, {"IMG_1.JPG": b"picture", part: content})
    found = library.decide()
    assert found.removed == {}
    assert "differs from that of the other" in found.reasons["b/IMG_1.JPG"]


def test_empty_sidecars_are_equal(library: Library) -> None:
    for folder in ("a", "b"):
        library.put(folder, {"IMG_1.JPG": b"picture", "IMG_1.xmp": b""})
    assert len(library.decide().removed) == 2


def test_a_raw_photo_that_differs_keeps_its_picture_and_one_with_other_tags_does_not(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", PHOTO | {"IMG_1.DNG": b"other values"})
    library.put("c", PHOTO | {"IMG_1.DNG": b"values\nother tags"})
    found = library.decide()
    assert set(found.removed) == {f"c/{name}" for name in PHOTO}
    assert found.reasons == {"b/IMG_1.JPG": "It has a RAW photo (IMG_1.DNG) that differs from that of the other."}
    classes = {each.source.path.name: each.match_class for each in found.plan.actions}
    assert classes["IMG_1.DNG"] is MatchClass.SAME_PIXELS


def test_of_three_copies_the_one_that_differs_does_not_keep_the_others_apart(library: Library) -> None:
    for folder, content in (("a", b"one"), ("b", b"two"), ("c", b"two")):
        library.put(folder, {"IMG_1.JPG": b"picture", "IMG_1.xmp": content})
    assert library.decide().removed == {"c/IMG_1.JPG": "b/IMG_1.JPG", "c/IMG_1.xmp": "b/IMG_1.xmp"}


def test_files_of_one_photo_are_never_duplicates_even_with_equal_bytes(library: Library) -> None:
    library.put("a", {"x.jpg": b"picture", "x-edited.jpg": b"picture", "x.jpg.json": b"metadata"})
    found = library.decide()
    assert found.removed == {}
    assert found.ranked.reported == ()


def test_an_edited_version_goes_for_an_edited_version(library: Library) -> None:
    files = {"IMG_1234.HEIC": b"one", "IMG_E1234.JPG": b"two", "IMG_1234.MOV": b"three", "IMG_1234.AAE": b"four"}
    library.put("a", files)
    library.put("b", files)
    assert library.decide().removed == {f"b/{name}": f"a/{name}" for name in files}


def test_a_film_with_another_identifier_is_no_part(library: Library) -> None:
    note = b"Apple iOS\0\0\1MM\0\1\0\x11\0\2\0\0\0\2\0\0\0\x20\0\0\0\0"
    for folder in ("a", "b"):
        library.put(folder, {"IMG_1.JPG": note + b"1\0", "IMG_1.MOV": film("2" if folder == "a" else "3")})
    assert library.decide().removed == {"b/IMG_1.JPG": "a/IMG_1.JPG"}
    library.put("b", {"IMG_1.MOV": film("1")})
    found = library.decide()
    assert found.removed == {"a/IMG_1.JPG": "b/IMG_1.JPG"}, "now the film in b is a part of it"


def test_two_units_of_one_name_that_are_different_photos_stay(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", {name: content + b"?" for name, content in PHOTO.items()})
    assert library.decide().removed == {}


@pytest.mark.parametrize("taken", [*PHOTO, "IMG_1.DNG.xmp"])
def test_a_name_that_is_taken_for_one_part_numbers_all_alike(library: Library, tmp_path: Path, taken: str) -> None:
    files = PHOTO | {"IMG_1.DNG.xmp": b"darktable"}
    library.put("a", files)
    library.put("b", files)
    library.removal = RemovalOptions(target_directory=tmp_path / "target")
    library.taken = frozenset({taken})
    assert library.decide().targets == ["IMG_1 (2).DNG", "IMG_1 (2).DNG.xmp", "IMG_1 (2).JPG", "IMG_1 (2).xmp"]


def test_units_of_several_folders_keep_their_structure_and_their_numbers_apart(
    library: Library, tmp_path: Path
) -> None:
    for folder in ("a", "b", "b/in"):
        library.put(folder, PHOTO)
    library.removal = RemovalOptions(target_directory=tmp_path / "target")
    found = library.decide()
    assert sorted(each.target.relative_to(tmp_path / "target").parent.as_posix() for each in found.plan.actions) == [
        *["b"] * 3,
        *["b/in"] * 3,
    ]
    assert sorted(each.unit for each in found.plan.actions) == [1, 1, 1, 2, 2, 2]


def test_a_class_that_may_not_be_removed_keeps_the_whole_photo(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", PHOTO | {"IMG_1.DNG": b"values\nother tags"})
    library.removal = RemovalOptions(remove_classes=frozenset({MatchClass.IDENTICAL}))
    assert library.decide().removed == {}


def test_a_protected_photo_is_the_keeper_and_never_goes(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("originals", PHOTO | {"IMG_1.THM": b"more"})
    library.roots = (Root(library.root / "a"), Root(library.root / "originals", protected=True))
    assert set(library.decide().removed) == {f"a/{name}" for name in PHOTO}
    library.put("a", {"IMG_1.MOV": b"more as well"})
    assert library.decide().removed == {}


def test_a_part_that_the_user_left_out_keeps_the_photo(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", PHOTO)
    library.selector = replace(library.selector, exclusions=(re.compile(r"b/.*\.xmp$"),))
    found = library.decide()
    assert found.removed == {}
    assert found.reasons["b/IMG_1.JPG"] == "It is one photo with IMG_1.xmp, which takes no part in this run."


def test_a_picture_that_is_not_listed_keeps_the_photo(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", PHOTO)
    listed = frozenset(os.fsencode(path) for path in library.root.rglob("*.JPG"))
    library.selector = replace(library.selector, listed=listed)
    found = library.decide()
    assert found.removed == {}
    assert found.reasons == {"b/IMG_1.JPG": "It is one photo with IMG_1.DNG, which takes no part in this run."}


def test_a_raw_photo_that_no_decoder_reads_goes_with_its_picture_by_its_bytes(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", PHOTO)
    library.put("c", PHOTO | {"IMG_1.DNG": b"values\nother tags"})
    library.selector = Selector(frozenset({"jpg"}))
    assert library.decide().removed == {f"b/{name}": f"a/{name}" for name in PHOTO}


def test_hard_links_leave_every_name_where_it_is_and_need_no_units(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", PHOTO)
    library.removal = RemovalOptions(action=ActionChoice.HARDLINK)
    actions = library.decide().plan.actions
    assert len(actions) == 3
    assert {each.unit for each in actions} == {0}


def test_another_name_of_a_part_is_no_copy_of_it(library: Library) -> None:
    library.put("a", PHOTO)
    library.put("b", {"IMG_1.JPG": PHOTO["IMG_1.JPG"], "IMG_1.DNG": PHOTO["IMG_1.DNG"]})
    (library.root / "b/IMG_1.xmp").hardlink_to(library.root / "a/IMG_1.xmp")
    assert library.decide().removed == {}


def test_a_file_name_that_is_not_unicode_is_part_of_its_photo(library: Library) -> None:
    for folder in (b"a", b"b"):
        path = os.fsencode(library.root) + b"/" + folder
        Path(os.fsdecode(path)).mkdir(parents=True)
        for name in (b"caf\xe9.jpg", b"caf\xe9.dng"):
            Path(os.fsdecode(path + b"/" + name)).write_bytes(name)
    assert len(library.decide().removed) == 2

"""Whole runs with verified matches: what is found, what is only told, and what is not done twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.matching.criteria import Matching, Scope
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import Root
from py_image_dedup.model.match import MatchClass, Orientation
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import AnalyseOptions, FindOptions
from py_image_dedup.pipeline.verification import verdict_key
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.store.base import Store
from py_image_dedup.store.elastic import ElasticStore
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.servers.sites import Site
from tests.support.photographs import photograph
from tests.support.verifying import VERIFIER

StoreOpener = Callable[[], Store]


class Photos:
    """A folder of generated photographs and copies of them."""

    def __init__(self, top: Path, store: StoreOpener | None = None) -> None:
        self.top = top / "photos"
        self.top.mkdir()
        self.options = Options(
            analyse=AnalyseOptions(threads=2, features=True),
            find=FindOptions(scope=Scope.ALL, matching=Matching.VERIFIED, verifier=VERIFIER),
            state_directory=top / "state",
        )
        self.open_store: StoreOpener = store or (lambda: SqliteStore(top / "state" / "index.sqlite3"))

    def add(self, name: str, image: Image.Image, quality: int = 90) -> Path:
        path = self.top / name
        image.save(path, quality=quality)
        os.utime(path, (1_600_000_000 + len(list(self.top.iterdir())),) * 2)
        return path

    def run(self, options: Options | None = None, *, dry_run: bool = True) -> RunResult:
        with self.open_store() as store:
            result = Deduplicator(store, options or self.options).deduplicate([Root(self.top)], dry_run=dry_run)
        assert result.error is None
        return result

    def batch(self, *ready: Path) -> RunResult:
        with self.open_store() as store:
            work = Deduplicator(store, self.options)
            result = work.process([Root(self.top)], [os.fsencode(path) for path in ready], [], dry_run=True)
        assert result.error is None
        return result


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    made = Photos(tmp_path)
    fill(made)
    return made


def fill(photos: Photos) -> None:
    """Four photographs; of three of them there are a copy that was turned, a mirrored one, and a crop."""
    for seed in range(4):
        photos.add(f"{seed}.jpg", photograph(seed))
    photos.add("0 turned.jpg", photograph(0).transpose(Image.Transpose.ROTATE_270).resize((270, 360)), 60)
    photos.add("1 mirrored.jpg", ImageOps.mirror(photograph(1)), 50)
    photos.add("2 crop.jpg", photograph(2).crop((60, 50, 60 + 300, 50 + 240)), 80)


def found(result: RunResult) -> dict[str, list[tuple[str, MatchClass]]]:
    return {
        group.keeper.stat.path.name: [(each.entry.stat.path.name, each.match.match_class) for each in group.redundant]
        for group in result.groups
    }


def told(result: RunResult) -> list[tuple[str, str, MatchClass]]:
    return [(match.left.stat.path.name, match.right.stat.path.name, match.match_class) for match in result.reported]


def verified(result: RunResult) -> int:
    (count,) = [phase.counts["verified"] for phase in result.phases if phase.phase is Phase.FIND]
    return count


COPIES = {
    "0.jpg": [("0 turned.jpg", MatchClass.SIMILAR)],
    "1.jpg": [("1 mirrored.jpg", MatchClass.SIMILAR)],
}
CROP = ("2.jpg", "2 crop.jpg", MatchClass.PARTIAL)


def test_turned_and_mirrored_copies_are_similar_and_a_crop_is_told(photos: Photos) -> None:
    result = photos.run()
    assert found(result) == COPIES
    assert told(result) == [CROP]
    turned = result.groups[0].redundant[0].match
    assert turned.orientation is Orientation.ROTATE_90
    assert turned.evidence is not None
    (crop,) = result.reported
    assert crop.evidence is not None
    assert crop.evidence.coverage_right > 0.95
    assert 0.35 < crop.evidence.coverage_left < 0.5


def test_a_crop_is_not_removed(photos: Photos) -> None:
    result = photos.run(dry_run=False)
    assert [outcome.status for outcome in result.outcomes] == [OutcomeStatus.DONE] * 2
    left = {path.name for path in photos.top.iterdir() if path.is_file()}
    assert left == {"0.jpg", "1.jpg", "2.jpg", "3.jpg", "2 crop.jpg"}


def test_a_crop_goes_before_its_whole_picture_if_parts_may_be_removed(photos: Photos) -> None:
    removal = RemovalOptions(remove_classes=frozenset(MatchClass))
    # By the size of the file the crop would be the better one.
    photos.add("2 crop.jpg", photograph(2).crop((60, 50, 60 + 300, 50 + 240)), 100)
    result = photos.run(replace(photos.options, removal=removal))
    assert found(result) == COPIES | {"2.jpg": [("2 crop.jpg", MatchClass.PARTIAL)]}
    assert told(result) == []


def test_a_framed_copy_goes_though_it_has_more_pixels(tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    photos.add("framed.jpg", ImageOps.expand(photograph(1), 24, "white"), 95)
    photos.add("photo.jpg", photograph(1), 90)
    # Without a verifier that was made for tests: borders are told by the program's own.
    result = photos.run(replace(photos.options, find=FindOptions(scope=Scope.ALL)))
    assert found(result) == {"photo.jpg": [("framed.jpg", MatchClass.SIMILAR)]}
    (redundant,) = result.groups[0].redundant
    assert redundant.reason.rule == "original"
    assert "border" in redundant.reason.sentence
    assert redundant.match.evidence is not None
    assert redundant.match.evidence.words == ("with a border",)


def captioned(photos: Photos) -> None:
    photos.add("photo.jpg", photograph(1), 90)
    image = photograph(1)
    ImageDraw.Draw(image).rectangle((0, 320, 480, 360), fill="black")
    photos.add("captioned.jpg", image, 100)


def test_a_captioned_copy_is_edited_and_stays(tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    captioned(photos)
    result = photos.run(replace(photos.options, find=FindOptions(scope=Scope.ALL)))
    assert found(result) == {}
    assert told(result) == [("photo.jpg", "captioned.jpg", MatchClass.EDITED)]
    (edited,) = result.reported
    assert edited.evidence is not None
    assert edited.evidence.words == ("small changes inside: drawn over it",)
    assert edited.inspection is not None
    (region, *_) = edited.inspection.regions
    assert (region.x, region.x + region.width) == (pytest.approx(0, abs=8), pytest.approx(480, abs=8))
    assert region.y == pytest.approx(320, abs=8)
    # What was found out is kept with the proof.
    assert told(photos.run(replace(photos.options, find=FindOptions(scope=Scope.ALL)))) == told(result)


def test_a_captioned_copy_goes_if_edited_files_may_go_though_the_rules_prefer_it(tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    captioned(photos)
    removal = RemovalOptions(remove_classes=frozenset({MatchClass.SIMILAR, MatchClass.EDITED}))
    result = photos.run(replace(photos.options, find=FindOptions(scope=Scope.ALL), removal=removal))
    assert found(result) == {"photo.jpg": [("captioned.jpg", MatchClass.EDITED)]}


def test_a_second_run_finds_the_same_and_verifies_nothing(photos: Photos) -> None:
    first, second = photos.run(), photos.run()
    assert verified(first) >= 3
    assert verified(second) == 0
    assert (found(second), told(second)) == (found(first), told(first))


def test_a_new_copy_costs_what_is_new(photos: Photos) -> None:
    before = verified(photos.run())
    photos.add("3 copy.jpg", photograph(3), 40)
    result = photos.run()
    assert found(result) == COPIES | {"3.jpg": [("3 copy.jpg", MatchClass.SIMILAR)]}
    assert 1 <= verified(result) < before + 1


def test_a_collage_joins_no_groups(tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    page = Image.new("RGB", (960, 360), "white")
    for seed in range(2):
        photos.add(f"{seed}.jpg", photograph(seed))
        photos.add(f"{seed} copy.jpg", photograph(seed), 50)
        page.paste(photograph(seed), (480 * seed, 0))
    photos.add("collage.jpg", page)
    result = photos.run()
    assert found(result) == {f"{seed}.jpg": [(f"{seed} copy.jpg", MatchClass.SIMILAR)] for seed in range(2)}
    assert told(result) == [("collage.jpg", f"{seed}.jpg", MatchClass.PARTIAL) for seed in range(2)]


def test_an_index_made_without_features_is_completed(photos: Photos) -> None:
    without = replace(
        photos.options,
        analyse=AnalyseOptions(threads=2, features=False),
        find=FindOptions(scope=Scope.ALL, matching=Matching.DISTANCE),
    )
    photos.run(without)
    result = photos.run()
    assert found(result) == COPIES
    (analysed,) = [phase.counts["analysed"] for phase in result.phases if phase.phase is Phase.ANALYSE]
    assert analysed == 7
    (again,) = [phase.counts["analysed"] for phase in photos.run(without).phases if phase.phase is Phase.ANALYSE]
    assert again == 0


def test_a_batch_finds_what_a_whole_run_finds(photos: Photos) -> None:
    photos.run()
    copy = photos.add("3 copy.jpg", photograph(3), 40)
    crop = photos.add("1 crop.jpg", photograph(1).crop((100, 60, 420, 300)), 85)
    result = photos.batch(copy, crop)
    assert found(result)["3.jpg"] == [("3 copy.jpg", MatchClass.SIMILAR)]
    assert ("1.jpg", "1 crop.jpg", MatchClass.PARTIAL) in told(result)
    whole = photos.run()
    assert verified(whole) == 0
    assert ("1.jpg", "1 crop.jpg", MatchClass.PARTIAL) in told(whole)


def test_a_batch_verifies_its_own_files_and_leaves_others_to_the_next_whole_run(photos: Photos) -> None:
    unmatched = replace(photos.options, find=FindOptions(scope=Scope.ALL, matching=Matching.DISTANCE))
    photos.run(unmatched)  # analysed with features, and nothing is verified
    copy = photos.add("3 copy.jpg", photograph(3), 40)
    result = photos.batch(copy)
    assert found(result) == {"3.jpg": [("3 copy.jpg", MatchClass.SIMILAR)]}
    with photos.open_store() as store:
        assert len(store.unverified(verdict_key(photos.options), None)) == 7
    assert found(photos.run()) == COPIES | {"3.jpg": [("3 copy.jpg", MatchClass.SIMILAR)]}


def test_what_batches_search_can_be_loaded_before_they_come(photos: Photos) -> None:
    photos.run()
    with SqliteStore(photos.top.parent / "state" / "index.sqlite3") as store:
        Deduplicator(store, photos.options).prepare([Root(photos.top)])
        assert len(store._words._index) == 7
        assert len(store._table.content_ids) == 7


def away_and_back(photos: Photos, photo: Image.Image) -> RunResult:
    """Take a photo away, verify a copy of it meanwhile, and bring it back."""
    path = photos.add("away.jpg", photo)
    photos.run()
    elsewhere = path.rename(photos.top.parent / "away.jpg")
    photos.run()
    photos.add("meanwhile.jpg", photo.resize((240, 180)), 70)
    photos.run()
    elsewhere.rename(path)
    return photos.run()


def test_a_photo_that_comes_back_is_compared_with_what_came_meanwhile(photos: Photos) -> None:
    # With hardly a visual word: only its signature makes it a suspect, and what is away has none that is searched.
    photos.options = replace(photos.options, find=FindOptions(scope=Scope.ALL))
    smooth = photograph(7).filter(ImageFilter.GaussianBlur(30))
    assert {"away.jpg", "meanwhile.jpg"} in [{left, right} for left, right, _ in told(away_and_back(photos, smooth))]


@pytest.fixture
def photos_on_elasticsearch(tmp_path: Path, elastic_site: Site, elastic_index: str) -> Photos:
    options = replace(elastic_site.options(elastic_index), cache_directory=tmp_path / "cache")
    made = Photos(tmp_path, lambda: ElasticStore(options))
    fill(made)
    return made


@pytest.mark.elasticsearch
def test_elasticsearch_knows_too_what_came_while_a_photo_was_away(photos_on_elasticsearch: Photos) -> None:
    result = away_and_back(photos_on_elasticsearch, photograph(7))
    assert found(result)["away.jpg"] == [("meanwhile.jpg", MatchClass.SIMILAR)]


@pytest.mark.elasticsearch
def test_elasticsearch_gives_the_same_answers(photos_on_elasticsearch: Photos, tmp_path: Path) -> None:
    on_server = photos_on_elasticsearch
    first = on_server.run()
    on_server.open_store = lambda: SqliteStore(tmp_path / "index.sqlite3")
    in_file = on_server.run()
    assert (found(first), told(first)) == (found(in_file), told(in_file))
    assert verified(first) == verified(in_file)

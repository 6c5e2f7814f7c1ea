"""The stage that inspects: what goes was compared in full with what stays."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from py_image_dedup.api import Deduplicator, Options
from py_image_dedup.inspection import client
from py_image_dedup.inspection.client import InspectionPool, Question, decode, encode
from py_image_dedup.matching.criteria import Scope
from py_image_dedup.media.limits import Limits
from py_image_dedup.model.events import Event, PhaseAdvanced, PhaseStarted, ignore
from py_image_dedup.model.failure import Phase
from py_image_dedup.model.file import FileStat, Root
from py_image_dedup.model.inspection import Inspection, Original, Outcome, Region, RegionKind, Side
from py_image_dedup.model.match import MatchClass
from py_image_dedup.model.result import RunResult
from py_image_dedup.pipeline.options import AnalyseOptions, FindOptions
from py_image_dedup.removal.plan import RemovalOptions
from py_image_dedup.store.sqlite.store import SqliteStore
from tests.support.photographs import photograph


class Library:
    """Pictures of which the thumbnails are alike, and runs over them."""

    def __init__(self, top: Path) -> None:
        self.photos = top / "photos"
        self.photos.mkdir()
        self.options = Options(
            analyse=AnalyseOptions(threads=2),
            find=FindOptions(scope=Scope.ALL, threads=2),
            state_directory=top / "state",
        )

    def save(self, name: str, image: Image.Image, **options: object) -> Path:
        path = self.photos / name
        image.save(path, **options)
        os.utime(path, (1_600_000_000, 1_600_000_000))
        return path

    def run(
        self,
        *,
        options: Options | None = None,
        dry_run: bool = True,
        observer: Callable[[Event], None] = ignore,
        should_stop: Callable[[], bool] = lambda: False,
        protected: bool = False,
    ) -> RunResult:
        chosen = options or self.options
        assert chosen.state_directory is not None
        with SqliteStore(chosen.state_directory / "index.sqlite3") as store:
            work = Deduplicator(store, chosen, observer=observer, should_stop=should_stop)
            roots = [Root(self.photos)]
            if protected:
                roots.append(Root(self.photos / "originals", protected=True))
            return work.deduplicate(roots, dry_run=dry_run)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path)


def compared(result: RunResult) -> int:
    (counts,) = [phase.counts for phase in result.phases if phase.phase is Phase.INSPECT]
    return counts["compared"]


def redundant(result: RunResult) -> dict[str, set[str]]:
    return {
        group.keeper.stat.path.name: {each.entry.stat.path.name for each in group.redundant} for group in result.groups
    }


def reported(result: RunResult) -> dict[frozenset[str], tuple[MatchClass, Outcome | None]]:
    return {
        frozenset((match.left.stat.path.name, match.right.stat.path.name)): (
            match.match_class,
            match.inspection and match.inspection.outcome,
        )
        for match in result.reported
    }


def page(amount: str, seed: int = 1) -> Image.Image:
    """A page of print; pages of one seed differ in the amount only."""
    image = Image.new("RGB", (720, 960), "white")
    draw = ImageDraw.Draw(image)
    random = np.random.default_rng(seed)
    for line in range(24):
        words = "".join(chr(97 + int(letter)) if letter < 26 else " " for letter in random.integers(0, 30, 60))
        draw.text((50, 60 + 30 * line), words, fill="black", font_size=18)
    draw.text((480, 840), f"Total {amount}", fill="black", font_size=24)
    return image


def test_pages_that_differ_in_one_figure_both_stay(library: Library) -> None:
    library.save("one.png", page("1,204.50"))
    library.save("two.png", page("1,284.50"))
    result = library.run()
    assert redundant(result) == {}
    assert reported(result)[frozenset({"one.png", "two.png"})][1] is not Outcome.COVERED


def test_a_copy_of_a_page_goes(library: Library) -> None:
    library.save("page.jpg", page("1,204.50"), quality=95)
    library.save("copy.jpg", page("1,204.50"), quality=75)
    assert redundant(library.run()) == {"page.jpg": {"copy.jpg"}}


def test_files_with_the_same_bytes_are_not_compared(library: Library) -> None:
    library.save("a.jpg", photograph(1))
    library.save("b.jpg", photograph(1))
    result = library.run()
    assert len(result.groups) == 1
    assert compared(result) == 0


def test_a_pair_is_compared_once_ever(library: Library) -> None:
    library.save("a.jpg", photograph(1), quality=95)
    library.save("b.jpg", photograph(1), quality=70)
    first, second = library.run(), library.run()
    assert (compared(first), compared(second)) == (1, 0)
    assert redundant(first) == redundant(second) == {"a.jpg": {"b.jpg"}}
    assert second.groups[0].redundant[0].match.inspection == first.groups[0].redundant[0].match.inspection


def test_progress_counts_pairs(library: Library) -> None:
    library.save("a.jpg", photograph(1), quality=95)
    library.save("b.jpg", photograph(1), quality=70)
    events: list[Event] = []
    library.run(observer=events.append)
    assert PhaseStarted(Phase.INSPECT, 1, "pairs") in events
    assert sum(isinstance(event, PhaseAdvanced) and event.phase is Phase.INSPECT for event in events) == 1


def test_a_coloured_picture_stays_though_the_grey_one_is_the_larger_file(library: Library) -> None:
    library.save("colour.jpg", photograph(1), quality=90)
    library.save("grey.png", photograph(1).convert("L"))
    assert redundant(library.run()) == {"colour.jpg": {"grey.png"}}


def test_an_animation_does_not_go_for_its_first_frame(library: Library) -> None:
    frames = [photograph(seed, 240, 180).convert("P", palette=Image.Palette.ADAPTIVE) for seed in (1, 2, 3)]
    library.save("animation.gif", frames[0], save_all=True, append_images=frames[1:], duration=100)
    library.save("still.png", frames[0].convert("RGB"))
    result = library.run()
    assert "still.png" not in redundant(result)


def test_a_protected_file_is_not_exchanged_for_a_better_one(library: Library) -> None:
    (library.photos / "originals").mkdir()
    library.save("originals/grey.png", photograph(1).convert("L"))
    library.save("colour.jpg", photograph(1), quality=90)
    result = library.run(protected=True)
    # The protected file lacks colour, and it never goes: both stay.
    assert redundant(result) == {}
    assert reported(result)[frozenset({"grey.png", "colour.jpg"})][1] is Outcome.MORE


def test_an_edited_copy_goes_only_if_edited_files_may_go(library: Library) -> None:
    library.save("photo.jpg", photograph(1), quality=95)
    drawn = photograph(1)
    ImageDraw.Draw(drawn).rectangle((200, 150, 280, 190), fill="black")
    library.save("drawn.jpg", drawn, quality=95)
    assert redundant(library.run()) == {}
    removal = RemovalOptions(remove_classes=frozenset({MatchClass.SIMILAR, MatchClass.EDITED}))
    result = library.run(options=replace(library.options, removal=removal))
    assert redundant(result) == {"photo.jpg": {"drawn.jpg"}}
    (goes,) = result.groups[0].redundant
    assert goes.match.match_class is MatchClass.EDITED
    assert goes.match.inspection is not None
    (region, *_) = goes.match.inspection.regions
    assert region.x == pytest.approx(200, abs=12)
    assert region.y == pytest.approx(150, abs=12)


def test_other_copies_of_an_edited_picture_go_for_it(library: Library) -> None:
    drawn = photograph(1)
    ImageDraw.Draw(drawn).rectangle((200, 150, 280, 190), fill="black")
    library.save("photo.jpg", photograph(1), quality=95)
    library.save("drawn.jpg", drawn, quality=95)
    library.save("drawn small.jpg", drawn, quality=70)
    result = library.run()
    assert redundant(result) == {"drawn.jpg": {"drawn small.jpg"}}


def test_a_stopped_run_makes_nothing_redundant_that_was_not_compared(library: Library) -> None:
    library.save("a.jpg", photograph(1), quality=95)
    library.save("b.jpg", photograph(1), quality=70)
    ranked: list[bool] = []

    def watch(event: Event) -> None:
        ranked.extend([True] * (isinstance(event, PhaseStarted) and event.phase is Phase.INSPECT))

    result = library.run(observer=watch, should_stop=lambda: bool(ranked))
    assert result.interrupted
    assert result.groups == ()


def test_without_inspection_a_dry_run_gives_the_quick_answer(library: Library) -> None:
    library.save("one.png", page("1,204.50"))
    library.save("two.png", page("1,284.50"))
    quick = replace(library.options, inspect=False)
    result = library.run(options=quick)
    assert len(result.groups) == 1
    assert [phase.phase for phase in result.phases if phase.phase is Phase.INSPECT] == []


def test_without_inspection_nothing_is_removed(library: Library) -> None:
    library.save("a.jpg", photograph(1))
    with pytest.raises(ValueError, match="compared in full"):
        library.run(options=replace(library.options, inspect=False), dry_run=False)


def stat_of(path: Path) -> FileStat:
    seen = path.stat()
    return FileStat(path, seen.st_size, seen.st_mtime_ns, seen.st_dev, seen.st_ino)


def ask(keeper: FileStat, other: FileStat) -> client.Answer:
    with InspectionPool(1, Limits()) as pool:
        ((_, answer),) = pool.ask([Question(keeper, other)])
    return answer


def test_a_file_that_changed_since_its_analysis_is_not_decided(library: Library) -> None:
    one, two = library.save("a.jpg", photograph(1)), library.save("b.jpg", photograph(1), quality=60)
    keeper, other = stat_of(one), stat_of(two)
    library.save("b.jpg", photograph(2), quality=60)
    answer = ask(keeper, other)
    assert answer.inspection.outcome is Outcome.UNDECIDED
    assert "changed since it was analysed" in answer.inspection.reason
    assert not answer.lasting


def test_a_keeper_that_vanished_is_not_decided(library: Library) -> None:
    one, two = library.save("a.jpg", photograph(1)), library.save("b.jpg", photograph(1), quality=60)
    keeper, other = stat_of(one), stat_of(two)
    one.unlink()
    answer = ask(keeper, other)
    assert answer.inspection.outcome is Outcome.UNDECIDED
    assert "the keeper cannot be opened" in answer.inspection.reason
    assert not answer.lasting


def test_a_file_that_cannot_be_decoded_is_not_decided_and_the_next_pair_is(library: Library) -> None:
    whole = library.save("a.png", photograph(1))
    broken = library.photos / "broken.png"
    broken.write_bytes(whole.read_bytes()[:4000])
    copy = library.save("copy.jpg", photograph(1), quality=80)
    questions = [Question(stat_of(whole), stat_of(broken)), Question(stat_of(whole), stat_of(copy))]
    with InspectionPool(1, Limits()) as pool:
        answers = [answer.inspection.outcome for _, answer in pool.ask(questions)]
    assert answers == [Outcome.UNDECIDED, Outcome.COVERED]


def test_a_worker_that_takes_too_long_costs_its_pair_only(library: Library) -> None:
    one, two = library.save("a.png", photograph(1)), library.save("b.jpg", photograph(1), quality=60)
    question = Question(stat_of(one), stat_of(two))
    with InspectionPool(1, Limits(timeout_seconds=0.0005)) as pool:
        ((_, late),) = pool.ask([question])
    assert late.inspection.outcome is Outcome.UNDECIDED
    assert "took too long" in late.inspection.reason
    assert not late.lasting


def test_an_inspection_survives_the_index() -> None:
    inspection = Inspection(
        Outcome.EDITED,
        "The same photo, but something inside differs.",
        (Region(1, 2, 30, 40, RegionKind.COVERED, 0.01),),
        ("resolution",),
        Original(Side.LEFT, sure=True, reason="B was saved again from A"),
    )
    assert decode(encode(inspection)) == inspection
    assert decode(b'{"outcome": "unheard of"}') is None
    assert decode(b"damaged") is None


def with_exif(path: Path, text: str) -> Path:
    """Write a copy of a JPEG with other metadata and the same compressed image data."""
    data = path.read_bytes()
    comment = text.encode()
    copy = path.with_name(f"{path.stem} {text}.jpg")
    copy.write_bytes(data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:])
    return copy


def test_of_files_with_the_same_pixels_only_what_is_embedded_is_compared(library: Library) -> None:
    photo = library.save("photo.jpg", photograph(1), quality=90)
    with_exif(photo, "tagged")
    result = library.run()
    (group,) = result.groups
    (goes,) = group.redundant
    assert goes.match.match_class is MatchClass.SAME_PIXELS
    assert goes.match.inspection is not None
    assert goes.match.inspection.reason.startswith("Every pixel is equal")


def test_a_gain_map_is_not_lost_to_a_copy_with_the_same_pixels(library: Library) -> None:
    photo = library.save("photo.jpg", photograph(1), quality=90)
    with_exif(photo, 'xmlns hdrgm:Version="1.0"')
    xmp = b'http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta><rdf:Description hdrgm:Version="1.0"/></x:xmpmeta>'
    data = photo.read_bytes()
    with_map = library.photos / "hdr.jpg"
    with_map.write_bytes(data[:2] + b"\xff\xe1" + (len(xmp) + 2).to_bytes(2, "big") + xmp + data[2:])
    result = library.run()
    assert "hdr.jpg" not in {name for names in redundant(result).values() for name in names}


def test_a_photo_is_the_original_of_a_lossless_file_with_its_pixels(library: Library) -> None:
    photo = library.save("photo.jpg", photograph(1), quality=85)
    with Image.open(photo) as opened:
        library.save("larger.png", opened.convert("RGB"))
    result = library.run()
    assert redundant(result) == {"photo.jpg": {"larger.png"}}
    (goes,) = result.groups[0].redundant
    assert goes.match.match_class is MatchClass.SAME_PIXELS
    assert goes.reason.rule == "original"

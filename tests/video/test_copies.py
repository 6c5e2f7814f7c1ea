"""Which clips are copies of each other, and what is said about them."""

from __future__ import annotations

import pytest

from py_image_dedup.model.inspection import Outcome
from py_image_dedup.model.match import MatchClass, Orientation
from py_image_dedup.video.candidates import Placement, find_candidates
from tests.support import clips
from tests.support.clips import Clip, Frame, encode
from tests.video.conftest import Desk


@pytest.mark.parametrize(
    ("edit", "match_class", "words", "there", "back"),
    [
        ("codec", MatchClass.SIMILAR, "mpeg4", Outcome.COVERED, None),
        ("half bit rate", MatchClass.SIMILAR, None, Outcome.MORE, Outcome.COVERED),
        ("half size", MatchClass.SIMILAR, "64 x 48", Outcome.COVERED, Outcome.MORE),
        ("frame rate", MatchClass.SIMILAR, "6 frames per second", Outcome.COVERED, Outcome.MORE),
        ("container", MatchClass.SAME_PIXELS, None, Outcome.COVERED, Outcome.COVERED),
        ("tags", MatchClass.SAME_PIXELS, None, Outcome.COVERED, Outcome.COVERED),
        ("trimmed 1 s", MatchClass.PARTIAL, "1 s shorter at the start", Outcome.PARTIAL, Outcome.PARTIAL),
        ("trimmed 20 %", MatchClass.PARTIAL, "0.8 s shorter at the end", Outcome.PARTIAL, Outcome.PARTIAL),
        ("letterbox", MatchClass.SIMILAR, "with black bars", None, Outcome.COVERED),
        ("mirrored", MatchClass.SIMILAR, "mirror", Outcome.COVERED, Outcome.COVERED),
        ("subtitles burnt in", MatchClass.EDITED, "with something drawn over", Outcome.EDITED, Outcome.EDITED),
        ("audio removed", MatchClass.SAME_PIXELS, "without sound", Outcome.COVERED, Outcome.MORE),
        ("turned 90 degrees", MatchClass.SIMILAR, "rotate-90", Outcome.COVERED, Outcome.COVERED),
    ],
)
def test_a_copy_is_found_as_what_it_is(
    desk: Desk,
    original: bytes,
    edited: dict[str, bytes],
    edit: str,
    match_class: MatchClass,
    words: str | None,
    there: Outcome | None,
    back: Outcome | None,
) -> None:
    verdict, reverse = desk.both_ways(original, edited[edit])
    assert verdict is not None
    assert reverse is not None
    assert (verdict.match_class, reverse.match_class) == (match_class, match_class)
    assert words is None or words in verdict.evidence.words
    assert there is None or verdict.inspection.outcome is there
    assert back is None or reverse.inspection.outcome is back


def test_what_the_keeper_lacks_is_named(desk: Desk, original: bytes, edited: dict[str, bytes]) -> None:
    silent = desk.judge(edited["audio removed"], original)
    small = desk.judge(edited["half size"], original)
    short = desk.judge(edited["trimmed 20 %"], original)
    assert silent is not None
    assert silent.inspection.lacks == ("sound", "sound channels")
    assert small is not None
    assert "resolution" in small.inspection.lacks
    assert short is not None
    assert short.inspection.lacks == ("length",)


def test_the_same_pictures_with_other_sound_both_stay(desk: Desk, original: bytes, pan: list[Frame]) -> None:
    dubbed = encode(Clip(pan, sound=clips.noise(4, 2)))
    verdict = desk.judge(original, dubbed)
    assert verdict is not None
    assert verdict.inspection.outcome is Outcome.BOTH_HAVE_MORE
    assert verdict.inspection.lacks == ("sound",)


def test_what_was_drawn_over_has_a_place(desk: Desk, original: bytes, edited: dict[str, bytes]) -> None:
    verdict = desk.judge(original, edited["subtitles burnt in"])
    assert verdict is not None
    (region,) = verdict.inspection.regions
    assert region.y >= 60
    assert region.y + region.height <= 96
    assert region.share < 0.3


def test_a_turned_copy_has_its_turn(desk: Desk, original: bytes, edited: dict[str, bytes]) -> None:
    verdict = desk.judge(original, edited["turned 90 degrees"])
    assert verdict is not None
    assert verdict.orientation is Orientation.ROTATE_90


def test_a_copy_of_a_tripod_film_is_found_by_what_moves_in_it(desk: Desk) -> None:
    frames = clips.walk_by(1, 5, 4)
    small = clips.each(frames, lambda frame: frame[::2, ::2])
    verdict = desk.judge(encode(Clip(frames)), encode(Clip(small)))
    assert verdict is not None
    assert verdict.match_class is MatchClass.SIMILAR
    assert verdict.inspection.outcome is Outcome.COVERED


def test_a_copy_of_a_slide_show_is_found(desk: Desk) -> None:
    frames = clips.slides([1, 2, 3, 4])
    copy = encode(Clip(frames, codec="mpeg4", container="avi"))
    verdict = desk.judge(encode(Clip(frames)), copy)
    assert verdict is not None
    assert verdict.match_class is MatchClass.SIMILAR


def test_a_film_in_which_nothing_moves_is_never_redundant(desk: Desk) -> None:
    still = [clips.texture(3, 128, 96)] * 24
    verdict = desk.judge(encode(Clip(still)), encode(Clip(still, bit_rate=30_000)))
    assert verdict is not None
    assert verdict.inspection.outcome is Outcome.UNDECIDED


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (lambda: clips.walk_by(1, 5, 3), lambda: clips.walk_by(2, 5, 3)),
        (lambda: clips.game(1, 3), lambda: clips.game(2, 3)),
        (lambda: clips.slides([1, 2, 3, 4]), lambda: clips.slides([1, 6, 7, 4])),
        (lambda: clips.logo() + clips.pan(3, 2.5), lambda: clips.logo() + clips.pan(4, 2.5)),
        (lambda: clips.black(1.5) + clips.pan(3, 2), lambda: clips.black(1.5) + clips.pan(4, 2)),
        (lambda: clips.black(2), lambda: clips.black(2)),
        (lambda: clips.pan(8, 3), lambda: clips.pan(8, 3)[::-1]),
        (lambda: clips.pan(9, 2) + clips.pan(10, 2), lambda: clips.pan(9, 2) + clips.pan(11, 2)),
    ],
    ids=["tripod", "game", "slides", "logo", "black intro", "black", "backwards", "half of it"],
)
def test_videos_that_only_look_alike_do_not_match(desk: Desk, one: object, two: object) -> None:
    assert callable(one)
    assert callable(two)
    assert desk.judge(encode(Clip(one())), encode(Clip(two(), bit_rate=200_000))) is None


def test_videos_that_are_searched_for_lead_to_all_others_whichever_comes_first(
    desk: Desk, original: bytes, edited: dict[str, bytes]
) -> None:
    whole, later = (desk.sample(data).profile for data in (original, edited["trimmed 1 s"]))
    [there] = find_candidates([whole, later])
    [back] = find_candidates([later, whole], first=1)
    assert (back.left, back.right) == (0, 1)
    assert 0.8 < there.placements[0].offset < 1.2, "the second begins a second later"
    assert back.placements[0].reversed().offset == pytest.approx(there.placements[0].offset, abs=0.3)
    assert list(find_candidates([whole, later], first=0)) == []
    swapped = Placement(1.5, Orientation.ROTATE_90, 3).reversed()
    assert swapped == Placement(-1.5, Orientation.ROTATE_270, 3)


def test_a_transcode_without_loss_has_the_same_pixels_in_other_packets(desk: Desk, pan: list[Frame]) -> None:
    lossless = encode(Clip(pan[:24], options={"crf": "0"}))
    archived = encode(Clip(pan[:24], codec="ffv1", container="mkv"))
    verdict, reverse = desk.both_ways(lossless, archived)
    for each in (verdict, reverse):
        assert each is not None
        assert (each.match_class, each.inspection.outcome) == (MatchClass.SAME_PIXELS, Outcome.COVERED)
        assert each.inspection.reason.startswith("Every frame is equal, pixel by pixel")


def test_one_pixel_of_one_frame_makes_a_transcode_similar_only(desk: Desk, pan: list[Frame]) -> None:
    changed = [frame.copy() for frame in pan[:24]]
    changed[20][40:42, 40:42] ^= 8
    verdict = desk.judge(
        encode(Clip(pan[:24], options={"crf": "0"})), encode(Clip(changed, codec="ffv1", container="mkv"))
    )
    assert verdict is not None
    assert verdict.match_class is MatchClass.SIMILAR

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from py_image_dedup.model.photo import IndexEntry
from py_image_dedup.ranking.group_stats import GroupStats
from py_image_dedup.ranking.rules import (
    DEFAULT_IDENTICAL_RULES,
    DEFAULT_RULES,
    RULE_NAMES,
    RULES,
    SHORT_NAMES,
    RuleSpec,
    parse_identical_rules,
    parse_rule,
)
from tests.support.entries import entry, signature

SAME = "/p/IMG_1.jpg"


def better(spec: RuleSpec, one: IndexEntry, other: IndexEntry, *stats: IndexEntry) -> bool:
    rule = parse_rule(spec)
    together = GroupStats([one, other, *stats], 0.1)
    first, second = rule.key(one, together), rule.key(other, together)
    assert rule.value(one, together)
    assert rule.value(other, together)
    return bool(first < second)


OPPOSITES = [
    ("higher-pixel-count", "lower-pixel-count", entry(SAME, width=4000), entry(SAME, width=3000)),
    ("more-exif-data", "less-exif-data", entry(SAME, exif_fields=30), entry(SAME, exif_fields=2)),
    ("bigger-file-size", "smaller-file-size", entry(SAME, size=20), entry(SAME, size=10)),
    ("newer-file-modification-date", "older-file-modification-date", entry(SAME, mtime=2), entry(SAME, mtime=1)),
    ("doesnt-contain-copy-in-file-name", "contains-copy-in-file-name", entry("/p/a.jpg"), entry("/p/a copy.jpg")),
    ("longer-file-name", "shorter-file-name", entry("/p/long.jpg"), entry("/p/x.jpg")),
    ("shorter-folder-path", "longer-folder-path", entry("/p/a.jpg"), entry("/p/q/a.jpg")),
    ("has-gps", "has-no-gps", entry(SAME, has_gps=True), entry(SAME)),
    ("oldest-capture-date", "newest-capture-date", entry(SAME, captured=datetime(2001, 1, 1)),  # noqa: DTZ001
     entry(SAME, captured=datetime(2002, 1, 1))),  # noqa: DTZ001
]  # fmt: skip


@pytest.mark.parametrize(("name", "opposite", "winner", "loser"), OPPOSITES)
def test_a_rule_prefers_what_its_name_says_and_its_opposite_the_other(
    name: str, opposite: str, winner: IndexEntry, loser: IndexEntry
) -> None:
    assert better(name, winner, loser)
    assert not better(name, loser, winner)
    assert better(opposite, loser, winner)
    assert not better(opposite, winner, loser)


def test_a_photo_without_a_capture_date_loses_by_both_capture_rules() -> None:
    dated, undated = entry(SAME, captured=datetime(2001, 1, 1)), entry(SAME)  # noqa: DTZ001
    assert better("oldest-capture-date", dated, undated)
    assert better("newest-capture-date", dated, undated)


def test_the_most_typical_file_has_the_smaller_distance_and_the_higher_score() -> None:
    middle, side, other = (entry(f"/{n}.jpg", signed=signature(1, change=n)) for n in (10, 0, 20))
    assert better("smaller-distance", middle, side, other)
    assert better("bigger-distance", side, middle, other)
    stranger = entry("/x.jpg", signed=signature(2))
    assert better("higher-score", middle, stranger, other)
    assert better("lower-score", stranger, middle, other)


def test_copies_of_one_content_are_one_in_company() -> None:
    photo, near = entry("/a.jpg", "a", signed=signature(1)), entry("/b.jpg", "b", signed=signature(1, change=9))
    crowd = [entry(f"/a{n}.jpg", "a", signed=signature(1)) for n in range(50)]
    alone, crowded = GroupStats([photo, near], 0.5), GroupStats([photo, near, *crowd], 0.5)
    assert alone.mean_distance(near) == crowded.mean_distance(near) > 0
    assert alone.score(near) == crowded.score(near) == 1


def test_a_lone_content_is_at_no_distance() -> None:
    stats = GroupStats([entry("/a.jpg", "x"), entry("/b.jpg", "x")], 0.5)
    assert stats.mean_distance(entry("/a.jpg", "x")) == 0
    assert stats.score(entry("/a.jpg", "x")) == 0


@pytest.mark.parametrize(
    "spec",
    [
        {"folder-order": ["/photos/edited", "/photos"]},
        {"folder-order": "/photos/edited, /photos"},
        "folder-order: /photos/edited/, /photos",
        {"folder-order": ["edited", "photos"]},
    ],
)
def test_folders_are_preferred_in_the_order_given(spec: RuleSpec) -> None:
    edited, camera, elsewhere = entry("/photos/edited/x/a.jpg"), entry("/photos/b.jpg"), entry("/photosedited/c.jpg")
    assert better(spec, edited, camera)
    assert better(spec, camera, elsewhere)


def test_a_folder_may_be_written_from_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert better({"folder-order": ["~/Pictures"]}, entry("/home/me/Pictures/a.jpg"), entry("/a.jpg"))


def test_formats_are_preferred_in_the_order_given_by_any_of_their_names() -> None:
    heif, jpeg, gif = (entry(SAME, image_format=name) for name in ("HEIF", "JPEG", "GIF"))
    assert better("preferred-formats: heic, jpg", heif, jpeg)
    assert better("preferred-formats: heic, jpg", jpeg, gif)


def test_names_are_preferred_or_avoided_by_pattern() -> None:
    camera, edited = entry("/p/IMG_1.jpg"), entry("/p/edit, 1.jpg")
    assert better({"name-pattern": "^IMG_"}, camera, edited)
    assert better("no-name-pattern: edit, ", camera, edited)
    assert better({"name-pattern": ["^DSC", "^IMG_"]}, camera, edited)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("higher-pixel-cout", "did you mean higher-pixel-count?"),
        ("Bigger_File_Size", "did you mean bigger-file-size?"),
        ("folder-ordre: /a", "did you mean folder-order?"),
        ("qqqqqqqq", "known rules:"),
        ("has-gps: yes", "takes no arguments"),
        ("folder-order", "needs arguments"),
        ({"folder-order": []}, "needs arguments"),
        ({"a": "b", "c": "d"}, "is no rule"),
        ({"folder-order": 3}, "must be a list"),
        ("name-pattern: (", "no regular expression"),
    ],
)
def test_a_wrong_rule_is_an_error_that_says_what_is_right(spec: RuleSpec, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        parse_rule(spec)


def test_the_default_rules_are_known_and_in_the_published_order() -> None:
    assert DEFAULT_RULES == (
        "original", "higher-pixel-count", "more-exif-data", "bigger-file-size", "newer-file-modification-date",
        "smaller-distance", "doesnt-contain-copy-in-file-name", "longer-file-name", "shorter-folder-path",
        "higher-score",
    )  # fmt: skip
    assert [parse_rule(name).name for name in DEFAULT_RULES] == list(DEFAULT_RULES)
    assert parse_rule({"name": "has-gps"}) is RULES["has-gps"]
    assert set(RULES) < set(RULE_NAMES)


def test_values_are_rounded_and_carry_their_unit() -> None:
    photo = entry("/p/a copy.jpg", size=1234567, width=4000, height=3000, exif_fields=7)
    stats = GroupStats([photo], 0.1)
    values = {name: RULES[name].value(photo, stats) for name in RULES}
    assert values["higher-pixel-count"] == "4000 x 3000"
    assert values["more-exif-data"] == "7 fields"
    assert values["bigger-file-size"] == "1.2 MiB"
    assert values["doesnt-contain-copy-in-file-name"] == '"copy" in the name'
    assert values["longer-file-name"] == "10 characters"


KEPT = [
    ("bigger-file-size", entry(SAME, size=2_810_671), entry(SAME, size=2_210_671),
     "larger (2.7 MiB, the other has 2.1 MiB)"),
    ("bigger-file-size", entry(SAME, size=2_810_672), entry(SAME, size=2_810_671),
     "larger (2,810,672 bytes, the other has 2,810,671 bytes)"),
    ("higher-pixel-count", entry(SAME, width=4000), entry(SAME, width=3000),
     "more pixels (4000 x 300, the other has 3000 x 300)"),
    ("more-exif-data", entry(SAME, exif_fields=30), entry(SAME, exif_fields=1),
     "more EXIF data (30 fields, the other has 1 field)"),
    ("doesnt-contain-copy-in-file-name", entry("/p/a.jpg"), entry("/p/a copy 2.jpg"),
     'not named as a copy (the other has "copy 2" in its name)'),
    ("doesnt-contain-copy-in-file-name", entry("/p/a.jpg"), entry("/q/a 2.jpg"),
     'not named as a copy (the other has "2" in its name)'),
    ("outside-copy-folders", entry("/Temp/p/a.jpg"), entry("/Temp/p/Backup 2019/x/a.jpg"),
     'not in a folder of copies (the other is in "Backup 2019")'),
    ("shorter-file-name", entry("/p/a.jpg"), entry("/p/abc.jpg"),
     "shorter name (5 characters, the other has 7 characters)"),
    ("has-gps", entry(SAME, has_gps=True), entry(SAME), "with a position (a position, the other has none)"),
    ("preferred-formats: PNG, JPEG", entry(SAME, image_format="PNG"), entry(SAME),
     "in a preferred format (PNG, the other is JPEG)"),
    ("folder-order: /p", entry("/p/a.jpg"), entry("/q/a.jpg"),
     "in a preferred folder (in /p, the other is in none of the listed folders)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "winner", "loser", "sentence"), KEPT)
def test_the_reason_is_a_sentence_with_both_values(
    name: str, winner: IndexEntry, loser: IndexEntry, sentence: str
) -> None:
    rule, stats = parse_rule(name), GroupStats([winner, loser], 0.1)
    assert rule.key(winner, stats) < rule.key(loser, stats)
    assert rule.sentence(winner, loser, stats) == sentence


def test_times_that_differ_by_seconds_are_given_with_all_their_digits() -> None:
    rule, stats = RULES["newer-file-modification-date"], GroupStats([], 0.1)
    late, early = entry(SAME, mtime=1_600_000_001), entry(SAME, mtime=1_600_000_000)
    sentence = rule.sentence(late, early, stats)
    assert sentence.startswith("changed later (20")
    assert ":41, the other 20" in sentence
    assert sentence.endswith(":40)")


def test_the_rules_for_identical_files_are_known_and_in_the_published_order() -> None:
    assert DEFAULT_IDENTICAL_RULES == (
        "protected", "folder-order", "hard-linked", "doesnt-contain-copy-in-file-name", "outside-copy-folders",
        "older-file-modification-date", "shorter-file-name", "shorter-folder-path",
    )  # fmt: skip
    assert [rule.name for rule in parse_identical_rules(DEFAULT_IDENTICAL_RULES)] == list(DEFAULT_IDENTICAL_RULES[1:])


@pytest.mark.parametrize("name", ["original", "smaller-distance", "higher-score"])
def test_a_rule_about_content_cannot_choose_among_identical_files(name: str) -> None:
    with pytest.raises(ValueError, match="cannot tell files with the same bytes apart"):
        parse_identical_rules([name])


def test_an_entry_without_facts_can_be_ranked_by_every_rule() -> None:
    bare = IndexEntry(stat=entry(SAME).stat, versions=entry(SAME).versions)
    stats = GroupStats([bare, entry("/x.jpg")], 0.1)
    for rule in RULES.values():
        if rule.pairwise:
            continue
        assert rule.key(bare, stats) == rule.key(bare, stats)
        assert rule.value(bare, stats)
    assert Path(SAME) == bare.stat.path


def test_short_names_of_other_programs_are_the_rules_themselves() -> None:
    assert parse_rule("newest") is RULES["newer-file-modification-date"]
    assert {parse_rule(name).name for name in SHORT_NAMES} == set(SHORT_NAMES.values())

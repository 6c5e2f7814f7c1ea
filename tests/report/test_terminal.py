from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from py_image_dedup.model.failure import Failure, FailureReason, Phase
from py_image_dedup.model.inspection import Inspection, Region, RegionKind
from py_image_dedup.model.inspection import Outcome as Finding
from py_image_dedup.model.match import Match, MatchClass, Orientation, RankedGroup, Reason, Redundant
from py_image_dedup.model.plan import Kept, Outcome, OutcomeStatus
from py_image_dedup.model.result import PhaseSummary, RunResult
from py_image_dedup.report.terminal import TerminalReport, WhyItStays, entry_words
from tests.report.results import EXPIRED, GROUP, KEEPER, PARTIAL, ROOT, entry, film, result

PLANNED, DONE, SKIPPED, FAILED = OutcomeStatus


def printed(run: RunResult, why_it_stays: WhyItStays | None = None, width: int = 80) -> list[str]:
    out = io.StringIO()
    TerminalReport(Console(file=out, width=width, highlight=False), why_it_stays).print(run)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_group_reads_keeper_first_with_the_reason_and_both_values() -> None:
    lines = printed(result(PLANNED, PLANNED), lambda group, redundant: "matches of class same-pixels are not removed")
    start = lines.index("Group 1 of 1")
    assert lines[start + 1 : start + 15] == [
        "  keep        2019/IMG_0001.jpg",
        "              4000 x 3000, 3.1 MiB, JPEG",
        "              Kept: shorter folder (24 characters, the other has 26)",
        "  delete      copies/IMG_0001 [1].jpg",
        "              identical; 4000 x 3000, 3.1 MiB, JPEG",
        "  quarantine  wh\ufffdats\\x1b[31m\\napp/x.jpg",
        "              similar, distance 0.071, rotated 90°; 1200 x 1600, 303 KiB, JPEG",
        "              The kept file: higher pixel count (4000 x 3000, the other has 1200 x 1600)",
        "  stays       kept/same.png",
        "              same-pixels; 4000 x 3000, 8.6 MiB, JPEG",
        "              The kept file: all rules are tied, so the path decides",
        "              Not removed: matches of class same-pixels are not removed",
        "",
        "Unreadable: 9 files",
    ]


def test_a_real_run_says_what_was_done_and_what_was_not() -> None:
    lines = printed(result(DONE, SKIPPED, dry_run=False, messages=("", "it changed since it was analysed")))
    assert "  kept        2019/IMG_0001.jpg" in lines
    assert "  deleted     copies/IMG_0001 [1].jpg" in lines
    assert "  SKIPPED     wh\ufffdats\\x1b[31m\\napp/x.jpg" in lines
    assert "Skipped: 1 removal" in lines
    assert "    wh\ufffdats\\x1b[31m\\napp/x.jpg: it changed since it was analysed" in lines
    assert "Removed       1 file, 3.1 MiB (1 deleted)" in lines
    assert "Not removed   1 skipped" in lines


def test_totals_are_given() -> None:
    lines = printed(result(PLANNED, PLANNED))
    assert lines[-7:] == [
        "Files         1,234",
        "Groups        1",
        "Redundant     3 files, 12 MiB (1 identical, 1 same-pixels, 1 similar)",
        "Can be freed  3.4 MiB in 2 files",
        "Quarantine    .py-image-dedup-quarantine/20250102T030405-ab12 in each root",
        "Unreadable    9 files (1 no-permission, 8 truncated)",
        "Time          1 min 5 s (count 0.02 s, analyse 1 min 5 s)",
    ]


def test_failures_are_listed_by_reason_and_not_all_of_them() -> None:
    lines = printed(result())
    assert "  truncated: 8" in lines
    assert "    bad0.jpg: it ends after 0 bytes" in lines
    assert "    and 3 more; --report FILE.json lists all" in lines
    assert "    bad5.jpg: it ends after 5 bytes" not in lines
    # A message that names the file itself is not given the name again.
    assert f"    {ROOT}/closed cannot be opened" in lines


def test_long_paths_are_neither_cut_nor_broken() -> None:
    long = entry("a" * 100 + "/" + "b" * 100 + ".jpg")
    group = RankedGroup(KEEPER, (Redundant(Match(KEEPER, long, MatchClass.IDENTICAL), Reason("path", "", "")),))
    lines = printed(result(groups=(group,), failures=()), width=40)
    assert f"  stays       {'a' * 100}/{'b' * 100}.jpg" in lines


def test_paths_outside_of_all_roots_are_whole() -> None:
    lines = printed(replace(result(PLANNED, PLANNED), roots=(ROOT / "2019", ROOT / "copies")))
    assert f"Paths are below {ROOT}" in lines
    lines = printed(replace(result(PLANNED, PLANNED), roots=(ROOT, ROOT.parents[2] / "mnt")))
    assert f"  keep        {ROOT}/2019/IMG_0001.jpg" in lines


def test_markup_and_smileys_in_names_are_names() -> None:
    odd = entry("[bold]x[/bold] :smile:.jpg")
    group = RankedGroup(odd, (Redundant(Match(odd, KEEPER, MatchClass.IDENTICAL), Reason("path", "", "")),))
    assert "  keep        [bold]x[/bold] :smile:.jpg" in printed(result(groups=(group,)))


def test_a_turned_copy_says_how_it_is_turned_and_an_upright_one_does_not() -> None:
    turned = Redundant(
        Match(KEEPER, entry("m.jpg"), MatchClass.SIMILAR, 0.05, Orientation.MIRROR), Reason("path", "", "")
    )
    lines = printed(result(groups=(RankedGroup(KEEPER, (turned,)),)))
    assert "              similar, distance 0.050, mirrored; 4000 x 3000, 3.1 MiB, JPEG" in lines
    assert not any("upright" in line for line in printed(result()))


def test_matches_that_are_only_shown_are_shown() -> None:
    similar = replace(PARTIAL, match_class=MatchClass.SIMILAR, evidence=None)
    lines = printed(replace(result(), reported=(similar, PARTIAL)))
    first, second = (
        lines.index(title) for title in ("Other matches (not removed)", "Crops and partial matches (not removed)")
    )
    assert first < lines.index("              similar, distance 0.400") < second
    assert lines.index("              partial, distance 0.400, crop: 43 % of it") > second


def test_a_video_is_shown_with_its_length_codec_frame_rate_and_sound() -> None:
    silent = film("b.mp4")
    assert silent.facts is not None
    assert silent.facts.footage is not None
    silent = replace(silent, facts=replace(silent.facts, footage=replace(silent.facts.footage, seconds=9.5, audio=())))
    copy = Redundant(Match(film("a.mp4"), silent, MatchClass.SIMILAR, 0.01), Reason("path", "", ""))
    lines = printed(result(groups=(RankedGroup(film("a.mp4"), (copy,)),), failures=()))
    facts = "1920 x 1080, 3.1 MiB, MP4"
    assert f"              {facts}, 1 min 15 s, h264, 29.97 frames/s, aac, stereo, deu + ac3, 6 channels" in lines
    assert f"              similar, distance 0.010; {facts}, 9.5 s, h264, 29.97 frames/s, no sound" in lines


def test_a_file_that_is_not_whole_says_so() -> None:
    failure = Failure(ROOT / "half.jpg", Phase.ANALYSE, FailureReason.TRUNCATED, "half of it is missing")
    half = Redundant(
        Match(KEEPER, entry("half.jpg", failure=failure), MatchClass.SIMILAR, 0.01), Reason("path", "", "")
    )
    lines = printed(result(groups=(RankedGroup(KEEPER, (half,)),), failures=()))
    assert "              similar, distance 0.010; 4000 x 3000, 3.1 MiB, JPEG, truncated" in lines


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def coloured() -> bool:
        out = io.StringIO()
        TerminalReport(Console(file=out, force_terminal=True, width=80)).print(result(groups=(GROUP,)))
        return "\x1b[32m" in out.getvalue()

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured()


def test_nothing_found_is_short() -> None:
    assert printed(result(groups=(), failures=())) == [
        "Files         1,234",
        "Time          1 min 5 s (count 0.02 s, analyse 1 min 5 s)",
    ]


def test_a_run_without_analysis_says_how_many_files_it_left_out() -> None:
    looked = (PhaseSummary(Phase.CLEANUP, 0.1, {"stale": 12}), PhaseSummary(Phase.FIND, 0.1))
    skipped = replace(result(groups=(), failures=()), phases=looked)
    assert "Left out      12 new or changed files (--skip-analyse-phase)" in printed(skipped)
    analysed = replace(skipped, phases=(*looked, PhaseSummary(Phase.ANALYSE, 0.1)))
    assert not any("Left out" in line for line in printed(analysed))


def test_files_that_left_the_quarantine_for_good_are_counted() -> None:
    run = replace(result(groups=(), failures=()), phases=(PhaseSummary(Phase.REMOVE, 0.1, {"expired": 22}),))
    out = io.StringIO()
    TerminalReport(Console(file=out, width=80, highlight=False), quarantine_days=30).print(run)
    assert "Quarantine    22 files older than 30 days permanently deleted" in out.getvalue()


def test_a_match_that_was_compared_in_full_says_what_the_comparison_found() -> None:
    regions = (
        Region(300, 200, 120, 40, RegionKind.REPLACED, 0.0004),
        Region(10, 20, 30, 5, RegionKind.ADDED, 0.0001),
    )
    reason = "Something was written on the other file."
    edited = replace(
        PARTIAL,
        match_class=MatchClass.EDITED,
        evidence=None,
        inspection=Inspection(Finding.EDITED, reason, regions),
    )
    shot = replace(
        edited,
        match_class=MatchClass.ANOTHER_SHOT,
        inspection=Inspection(Finding.ANOTHER_SHOT, "They are two shots.", regions[1:]),
    )
    lines = printed(replace(result(), reported=(edited, shot)))
    start = lines.index("Edited copies (not removed)")
    assert lines[start + 3 : start + 5] == [
        "              edited, distance 0.400",
        f"              {reason} Differs in 2 regions, such as 120 x 40 pixels at (300, 200): replaced.",
    ]
    assert lines.index("Other shots of the same scene (not removed)") > start
    assert "              They are two shots. Differs in 30 x 5 pixels at (10, 20): added." in lines


def test_a_quick_answer_says_that_it_is_one() -> None:
    ranked = replace(result(PLANNED, PLANNED), phases=(PhaseSummary(Phase.RANK, 0.1),))
    assert "Quick answer  similar files were not compared in full (--no-inspect)" in printed(ranked)
    inspected = replace(ranked, phases=(*ranked.phases, PhaseSummary(Phase.INSPECT, 0.1)))
    assert not any("Quick answer" in line for line in printed(inspected))


def test_files_that_leave_the_quarantine_and_those_that_stay_there_are_listed() -> None:
    kept = (Kept(ROOT / "kept.jpg", "Its keeper does not exist any more."),)
    run = replace(result(groups=(), failures=()), outcomes=(Outcome(EXPIRED, PLANNED),), kept_in_quarantine=kept)
    lines = printed(run)
    start = lines.index("Quarantine: files that are permanently deleted because of their age")
    assert lines[start + 1 : start + 4] == [
        "  expire      .py-image-dedup-quarantine/old/b/x.jpg",
        "              in quarantine since 2024-11-02; 303 KiB; formerly b/x.jpg",
        "              Its content is kept in 2019/IMG_0001.jpg",
    ]
    start = lines.index("Kept in quarantine: 1 file")
    assert lines[start + 1] == "    kept.jpg: Its keeper does not exist any more."
    assert "Quarantine    1 file to be permanently deleted" in lines


def test_what_a_file_has_beside_its_picture_is_named() -> None:
    assert KEEPER.facts is not None
    rich_facts = replace(KEEPER.facts, frames=12, embedded=("film", "gain map"))
    assert entry_words(KEEPER) == "4000 x 3000, 3.1 MiB, JPEG"
    words = entry_words(replace(KEEPER, facts=rich_facts))
    assert words == "4000 x 3000, 3.1 MiB, JPEG, 12 frames, with a film, with a gain map"

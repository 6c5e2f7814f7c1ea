"""Which files take part, and which pictures match: one option at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.cli.program import Ended, Program
from tests.cli.test_terminal import plain, terminal
from tests.support.photographs import photograph
from tests.support.pictures import picture, write


@pytest.fixture(scope="module")
def shot() -> Image.Image:
    return photograph(5, 400, 300)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory, shot: Image.Image) -> Program:
    """A photo, the same bytes, the same pixels, a smaller copy, a rotated one, and one without an extension."""
    home = tmp_path_factory.mktemp("album")
    folder = home / "Album"
    original = write(folder / "a" / "shot.jpg", shot, quality=95)
    (folder / "b").mkdir()
    (folder / "b" / "same bytes.jpg").write_bytes(original.read_bytes())
    (folder / "b" / "same pixels.jpg").write_bytes(
        original.read_bytes()[:2] + b"\xff\xfe\x00\x04hi" + original.read_bytes()[2:]
    )
    write(folder / "b" / "small.jpg", shot.resize((300, 225)), quality=85)
    write(folder / "b" / "turned.jpg", shot.rotate(90, expand=True), quality=90)
    (folder / "c").mkdir()
    (folder / "c" / "no extension").write_bytes(original.read_bytes())
    (folder / "c" / "text").write_text("no picture")
    return Program(home)


def deduplicate(program: Program, *arguments: str) -> Ended:
    # The comparison in full, which starts processes of its own, is not what these options are about.
    ended = program.call("deduplicate", *arguments, "--no-inspect", "--output", "json")
    assert ended.code == 0, ended.err
    return ended


def redundant(ended: Ended) -> set[str]:
    groups = json.loads(ended.out)["groups"]
    return {Path(each["path"]).name for group in groups for each in group["redundant"]}


def alike(ended: Ended) -> set[str]:
    """The files of all groups, keepers included."""
    return redundant(ended) | {Path(group["keeper"]["path"]).name for group in json.loads(ended.out)["groups"]}


def files(ended: Ended) -> int:
    number: int = json.loads(ended.out)["totals"]["files"]
    return number


EQUAL = {"shot.jpg", "same bytes.jpg", "same pixels.jpg"}
COPIES = EQUAL | {"small.jpg", "turned.jpg"}


def test_each_level_of_similarity_includes_the_one_before(album: Program) -> None:
    found = {
        level: alike(deduplicate(album, "Album", "--similarity", level))
        for level in ("identical", "same-pixels", "strict", "normal", "loose")
    }
    assert found["identical"] == {"shot.jpg", "same bytes.jpg"}
    assert found["same-pixels"] == EQUAL
    assert found["strict"] == found["normal"] == found["loose"] == COPIES


def test_a_distance_bounds_what_is_redundant_and_zero_means_equal(album: Program) -> None:
    assert alike(deduplicate(album, "Album", "--max-distance", "0")) == EQUAL
    groups = json.loads(deduplicate(album, "Album").out)["groups"]
    far = max(each["distance"] for group in groups for each in group["redundant"])
    assert far > 0
    within = alike(deduplicate(album, "Album", "--max-distance", str(far / 2)))
    assert EQUAL <= within < COPIES


@pytest.mark.parametrize("matching", ["verified", "distance"])
def test_rotated_and_mirrored_copies_match_only_if_wanted(program: Program, shot: Image.Image, matching: str) -> None:
    write(program.home / "Album" / "shot.png", shot)
    write(program.home / "Album" / "turned.jpg", shot.rotate(90, expand=True))
    write(program.home / "Album" / "mirrored.jpg", ImageOps.mirror(shot))
    arguments = ("Album", "--matching", matching)
    assert len(alike(deduplicate(program, *arguments))) == 3
    assert alike(deduplicate(program, *arguments, "--no-rotate")) == set()


def test_with_the_same_dimensions_only_a_smaller_copy_stays(album: Program) -> None:
    found = alike(deduplicate(album, "Album", "--same-dimensions"))
    assert found == EQUAL


def test_extensions_choose_the_files_and_any_means_what_is_a_picture(album: Program) -> None:
    assert files(deduplicate(album, "Album", "--extension", "png")) == 0
    assert files(deduplicate(album, "Album", "--extension", "png", "--extension", ".JPG")) == 5
    ended = deduplicate(album, "Album", "--any-extension")
    assert files(ended) == 6
    assert alike(ended) == COPIES | {"no extension"}
    assert json.loads(ended.out)["failures"] == []


def test_sizes_leave_files_out(album: Program) -> None:
    small = (album.home / "Album" / "b" / "small.jpg").stat().st_size
    assert files(deduplicate(album, "Album", "--min-size", f"{small + 1}")) == 4
    assert files(deduplicate(album, "Album", "--max-size", f"{small}")) == 1
    assert alike(deduplicate(album, "Album", "--min-pixels", "320x240")) == COPIES - {"small.jpg"}
    assert alike(deduplicate(album, "Album", "--min-pixels", "0.5M")) == set()
    wrong = album.call("deduplicate", "Album", "--min-size", "big", "--max-size", "1k")
    assert wrong.code == 2
    assert "analysis.min_size: 'big' is not a size such as 300k" in wrong.err
    contradiction = album.call("deduplicate", "Album", "--min-size", "2k", "--max-size", "1k")
    assert "analysis.max_size: is less than analysis.min_size" in contradiction.err


def test_the_options_of_the_selection_are_settings_too(album: Program) -> None:
    configuration = album.home / "given.yaml"
    configuration.write_text(
        "py_image_dedup: {analysis: {any_extension: true, min_pixels: 320x240, one_file_system: true}, "
        "deduplication: {rotated: false, similarity: same-pixels}}\n"
    )
    assert alike(deduplicate(album, "Album", "--config", str(configuration))) == EQUAL | {"no extension"}
    wider = alike(deduplicate(album, "Album", "--config", str(configuration), "--similarity", "normal"))
    assert wider == (COPIES | {"no extension"}) - {"small.jpg", "turned.jpg"}


def test_against_compares_with_the_originals_only_and_keeps_them(program: Program, shot: Image.Image) -> None:
    original = write(program.home / "Originals" / "shot.jpg", shot.resize((200, 150)))
    write(program.home / "Inbox" / "larger.jpg", shot)
    for name in ("one.jpg", "two.jpg"):
        write(program.home / "Inbox" / name, picture(9))
    (program.home / "Inbox" / "copy.jpg").write_bytes(original.read_bytes())
    assert redundant(deduplicate(program, "Inbox", "--protect", "Originals")) >= {"copy.jpg", "two.jpg"}
    ended = program.call("deduplicate", "Inbox", "--against", "Originals", "--output", "json")
    assert redundant(ended) == {"copy.jpg"}
    reported = {Path(each["left"]["path"]).name for each in json.loads(ended.out)["reported"]}
    assert "one.jpg" not in reported
    text = program.call("deduplicate", "Inbox", "--against", "Originals").out
    assert "Scope         files are compared with those of protected folders only" in text
    removed = program.call("deduplicate", "Inbox", "--against", "Originals", "--no-dry-run", "--yes")
    assert removed.code == 0, removed.err
    assert original.exists()
    assert not (program.home / "Inbox" / "copy.jpg").exists()
    both = program.call("deduplicate", "Inbox", "--against", "Originals", "--scope", "all")
    assert both.code == 2
    assert "--against and --scope contradict each other" in both.err


@pytest.mark.parametrize(("scope", "apart"), [("root", "roots"), ("folder", "folders")])
def test_a_narrow_scope_says_how_many_groups_it_leaves_out(
    program: Program, shot: Image.Image, scope: str, apart: str
) -> None:
    for folder in ("One", "Two"):
        write(program.home / folder / "equal.jpg", picture(3))
    write(program.home / "One" / "shot.jpg", shot)
    write(program.home / "Two" / "small.jpg", shot.resize((300, 225)))
    write(program.home / "Two" / "other.jpg", picture(4))
    ended = program.call("deduplicate", "One", "Two", "--scope", scope)
    assert f"files of one {scope} are compared with each other; 2 more groups across {apart}: --scope all" in ended.out
    wide = program.call("deduplicate", "One", "Two")
    assert "Groups        2" in wide.out
    assert "Scope" not in wide.out


def test_verbose_shows_each_file_as_it_is_decided(program: Program, library: Path) -> None:
    ended = program.call("-v", "deduplicate", "Pictures")
    lines = ended.err.splitlines()
    assert any(line.startswith("keep       ") and "2019/beach.jpg (" in line for line in lines)
    assert any(line.startswith("redundant  ") and "beach copy.jpg (identical; " in line for line in lines)
    assert any("beach copy.jpg" in line and "2019/beach.jpg is kept: " in line for line in lines)
    assert any(line.startswith("unreadable ") and "broken.jpg" in line for line in lines)
    assert "redundant" not in program.call("deduplicate", "Pictures").err
    narrow = program.call("-v", "deduplicate", "Pictures", "--remove", "identical").err.splitlines()
    assert any(line.startswith("stays ") and "small.jpg (similar, " in line for line in narrow)


def test_review_takes_the_options_of_a_run(album: Program) -> None:
    wanted = (
        "--similarity",
        "identical",
        "--extension",
        "png",
        "--exclude",
        "turned",
        "--against",
        "Album",
        "--no-browser",
    )
    ended = album.call("review", "Album", *wanted)
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "There are no duplicates to review.")


def test_without_a_root_the_current_folder_is_searched_if_the_user_agrees(program: Program, library: Path) -> None:
    with terminal(program, "deduplicate") as at:
        at.wait_for(r"Search .*home\? \[y/N\]")
        at.press("y\n")
        assert at.end() == 0
    assert "Groups        1" in plain(at.text)
    with terminal(program, "deduplicate") as at:
        at.wait_for(r"Search .*home\? \[y/N\]")
        at.press("\n")
        assert at.end() == 2
    assert program.call("deduplicate").code == 2

"""What a search takes, what it returns, and what can be done with that."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from py_image_dedup import Duplicates, FindOptions, Index, MatchClass, Options, SearchError, find_duplicates
from py_image_dedup.api import compare, signature
from py_image_dedup.matching.matcher import Scope
from py_image_dedup.model.plan import OutcomeStatus
from py_image_dedup.pipeline.options import AnalyseOptions
from tests.support.photographs import photograph
from tests.support.pictures import picture, write

SHOT = photograph(7, 240, 180)
QUICK = Options(analyse=AnalyseOptions(threads=1, features=False), find=FindOptions(scope=Scope.ALL))


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A photo, an equal copy, a smaller copy in a subfolder, and another photo."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "album"
    shot = write(folder / "shot.jpg", SHOT, quality=95)
    (folder / "shot copy.jpg").write_bytes(shot.read_bytes())
    write(folder / "sent" / "small.jpg", SHOT.resize((200, 150)))
    write(folder / "other.jpg", picture(2))
    return folder


def names(result: Duplicates) -> set[str]:
    return {path.name for path in result.lower_quality}


def test_folders_files_and_lists_of_them_are_searched(album: Path) -> None:
    odd = album / "no extension"
    odd.write_bytes((album / "shot.jpg").read_bytes())

    def searched(*sources: Any, recursive: bool = True) -> set[str]:
        result = find_duplicates(*sources, similarity="identical", options=QUICK, recursive=recursive)
        return {path.name for path in (*result.unique, *result.lower_quality)} | {
            group.keeper.path.name for group in result.groups
        }

    assert searched(album) == {"shot.jpg", "shot copy.jpg", "small.jpg", "other.jpg"}
    assert searched(str(album), recursive=False) == {"shot.jpg", "shot copy.jpg", "other.jpg"}
    assert searched([album / "shot.jpg", [str(album / "sent" / "small.jpg")]]) == {"shot.jpg", "small.jpg"}
    assert searched(album / "sent", album / "shot.jpg") == {"small.jpg", "shot.jpg"}
    assert searched(odd, album / "shot.jpg") == {"no extension", "shot.jpg"}


def in_memory() -> Iterator[tuple[str, object]]:
    stream = io.BytesIO()
    SHOT.save(stream, "JPEG", quality=90)
    yield "bytes", stream.getvalue()
    yield "array", np.asarray(SHOT)
    yield "Pillow", SHOT.resize((200, 150))
    yield "with alpha", np.dstack([np.asarray(SHOT), np.full((180, 240), 255, np.uint8)])
    yield "grey", np.asarray(picture(3).convert("L"))
    yield "broken", b"no picture"


def test_pictures_in_memory_keep_their_names_and_cannot_be_removed() -> None:
    result = find_duplicates(in_memory())
    members = {group.keeper.path.name for group in result.groups} | names(result)
    assert members == {"bytes", "array", "Pillow", "with alpha"}
    assert [str(path) for path in result.unique] == ["broken", "grey"]
    assert [str(failure.path) for failure in result.failures] == ["broken"]
    assert "data:image/webp;base64," in result._repr_html_()
    with pytest.raises(ValueError, match="in memory"):
        result.move_to("anywhere")


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (Path("/nowhere/a.jpg"), FileNotFoundError, "does not exist"),
        (3, TypeError, "a source is a folder"),
        ([("x", np.zeros((4, 4)))], ValueError, r"float64 \(4, 4\)"),
        ([("x", np.zeros((4, 4, 2), np.uint8))], ValueError, "uint8 of shape"),
    ],
)
def test_a_wrong_source_is_an_error(source: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        find_duplicates(source)  # type: ignore[arg-type]


def test_a_search_that_fails_raises(album: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'same' is not a valid Similarity"):
        find_duplicates(album, similarity="same")
    index = Index(album)
    for file in sorted(album.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    album.rmdir()
    with pytest.raises(SearchError, match="nothing to search"):
        index.search()


def test_one_index_is_searched_with_other_options_and_reads_nothing_again(album: Path) -> None:
    index = Index(album)
    assert names(index.search(similarity="identical")) == {"shot copy.jpg"}
    near = index.search()
    assert names(near) == {"shot copy.jpg", "small.jpg"}
    assert near.phases[2].counts["bytes"] == 0
    assert names(index.search(same_dimensions=True)) == {"shot copy.jpg"}
    assert names(index.search(max_distance=0)) == {"shot copy.jpg"}
    matches = index.known(SHOT.resize((220, 165)))
    assert {match.right.path.name for match in matches} == {"shot.jpg", "shot copy.jpg", "small.jpg"}
    assert index.known(np.asarray(picture(9))) == ()
    with pytest.raises(SearchError, match="the picture cannot be read"):
        index.known(b"no picture")


def test_against_searches_between_the_sides_only(album: Path, tmp_path: Path) -> None:
    train = write(tmp_path / "train" / "t.png", SHOT)
    result = find_duplicates(album, against=tmp_path / "train")
    assert names(result) == {"shot copy.jpg", "shot.jpg", "small.jpg"}
    assert {pair.left for pair in result.pairs()} == {train}
    assert [path.name for path in result.unique] == ["other.jpg"]
    memory = find_duplicates([("a", SHOT), ("b", SHOT)], against=[("original", np.asarray(SHOT))])
    assert {str(path) for path in memory.lower_quality} == {"a", "b"}
    assert {str(pair.left) for pair in memory.pairs()} == {"original"}


def test_the_result_says_what_it_was_made_from_and_how(album: Path, tmp_path: Path) -> None:
    result = find_duplicates(album, max_distance=0.3, rotated=False)
    assert repr(result) == "<Duplicates: 4 files, 1 group, 2 redundant, 1 unique>"
    assert result.stats["parameters"]["max_distance"] == 0.3
    assert result.stats["parameters"]["rotated"] is False
    assert result.stats["counts"]["redundant"] == 2
    assert result.stats["seconds"].keys() >= {"analyse", "find", "rank", "inspect"}
    (first, second) = result.pairs()
    assert {first.right.name, second.right.name} == {"shot copy.jpg", "small.jpg"}
    assert {first.match_class, second.match_class} == {MatchClass.IDENTICAL, MatchClass.SIMILAR}
    assert first.redundant
    assert first.transform == "upright"
    assert json.loads(result.to_json(tmp_path / "out.json")) == json.loads((tmp_path / "out.json").read_text())
    assert result.to_dict()["totals"]["files"] == 4
    assert result._repr_html_().count("<img") == 3


def test_redundant_files_are_moved_and_brought_back(album: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in album.rglob("*.jpg")}
    result = find_duplicates(album)
    outcomes = result.move_to(tmp_path / "moved")
    assert [outcome.status for outcome in outcomes] == [OutcomeStatus.DONE] * 2
    assert sorted(path.name for path in (tmp_path / "moved").rglob("*.jpg")) == ["shot copy.jpg", "small.jpg"]
    assert {outcome.status for outcome in result.undo()} == {OutcomeStatus.DONE}
    assert {path: path.read_bytes() for path in album.rglob("*.jpg")} == before


def test_deletion_asks_and_a_changed_file_is_not_deleted(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = find_duplicates(album, similarity="identical", state_directory=album.parent / "index")
    questions: list[str] = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "n")
    assert result.delete() == ()
    assert questions[0].startswith("Delete 1 file, ")
    assert (album / "shot copy.jpg").exists()
    (album / "shot copy.jpg").write_bytes(b"changed")
    assert [outcome.status for outcome in result.delete(yes=True)] == [OutcomeStatus.SKIPPED]
    (album / "shot copy.jpg").write_bytes((album / "shot.jpg").read_bytes())
    again = find_duplicates(album, protected=[album / "sent"], similarity="identical")
    assert [outcome.status for outcome in again.delete(yes=True)] == [OutcomeStatus.DONE] * len(again.redundant)
    assert (album / "sent" / "small.jpg").exists()


def test_an_index_without_a_state_directory_is_deleted_with_its_results(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = find_duplicates(album / "sent", similarity="identical", options=QUICK)
    assert list(tmp_path.glob("py-image-dedup-*"))
    del result
    gc.collect()
    assert not list(tmp_path.glob("py-image-dedup-*"))


def test_progress_is_shown_on_standard_error(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    find_duplicates(album / "sent", similarity="identical", options=QUICK, progress=True)
    assert "Analys" in capsys.readouterr().err


def test_two_pictures_are_compared_without_an_index(album: Path) -> None:
    same = compare(album / "shot.jpg", (album / "shot copy.jpg").read_bytes())
    assert same is not None
    assert same.match_class is MatchClass.IDENTICAL
    turned = compare(SHOT, np.rot90(np.asarray(SHOT)))
    assert turned is not None
    assert turned.orientation.label == "rotate-270"
    assert compare(SHOT, picture(2)) is None
    assert signature(Image.new("RGB", (50, 50))) is None

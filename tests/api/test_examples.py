"""The examples run, print what they promise, and are the ones in the documentation."""

from __future__ import annotations

import re
import runpy
import shutil
from pathlib import Path

import pytest
from PIL import ImageOps

from tests.support.photographs import photograph
from tests.support.pictures import write

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((PROJECT / "examples").glob("*.py"))
PAGE = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training, test and library pictures, with copies among them."""
    folder = tmp_path_factory.mktemp("data")
    beach, wood = photograph(1, 320, 240), photograph(2, 320, 240)
    write(folder / "train" / "beach.jpg", beach, quality=95)
    write(folder / "train" / "beach again.jpg", beach, quality=60)
    write(folder / "train" / "wood.jpg", wood)
    (folder / "train" / "broken.jpg").write_bytes((folder / "train" / "wood.jpg").read_bytes()[:3000])
    write(folder / "test" / "beach small.jpg", beach.resize((240, 180)))
    write(folder / "test" / "mirrored wood.jpg", ImageOps.mirror(wood))
    write(folder / "test" / "new.jpg", photograph(3, 320, 240))
    shutil.copytree(folder / "train", folder / "library")
    write(folder / "uploads" / "1.png", beach.resize((300, 225)))
    write(folder / "uploads" / "2.png", photograph(4, 320, 240))
    return folder


@pytest.fixture
def workplace(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the data, to work in."""
    shutil.copytree(data, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def run(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    runpy.run_path(str(PROJECT / "examples" / f"{name}.py"))
    return capsys.readouterr().out.splitlines()


@pytest.mark.usefixtures("workplace")
class TestExamples:
    def test_a_training_set_is_cleaned(self, capsys: pytest.CaptureFixture[str]) -> None:
        lines = run("clean_training_set", capsys)
        assert lines[0] == "<Duplicates: 4 files, 1 group, 1 redundant, 2 unique, 1 failure>"
        assert lines[1].startswith("beach.jpg stays: ")
        assert re.fullmatch(r"  beach again\.jpg: similar, distance 0\.\d\d", lines[2])
        assert lines[3].startswith("broken.jpg cannot be read: ")
        assert lines[4].startswith("1 files moved")
        assert Path("duplicates/beach again.jpg").exists()
        assert not Path("train/beach again.jpg").exists()

    def test_leaks_between_train_and_test_are_found(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert sorted(run("find_leaks", capsys)) == [
            "1 of the test pictures are new",
            "beach small.jpg is similar to beach.jpg (upright)",
            "mirrored wood.jpg is similar to wood.jpg (mirror)",
        ]

    def test_a_known_upload_is_recognised(self, capsys: pytest.CaptureFixture[str]) -> None:
        first, second = run("is_this_upload_known", capsys)
        assert re.fullmatch(r"1\.png is similar to beach( again)?\.jpg", first)
        assert second == "2.png is new"
        assert Path("state/index.sqlite3").exists()

    def test_pictures_in_memory_are_compared(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("pictures_in_memory", capsys) == ["['the same'] ['another']"]

    def test_an_index_is_searched_several_times(self, capsys: pytest.CaptureFixture[str]) -> None:
        pytest.importorskip("pandas")
        lines = run("several_searches", capsys)
        assert lines[:4] == [
            "identical: 0 redundant files",
            "same-pixels: 0 redundant files",
            "strict: 3 redundant files",
            "normal: 3 redundant files",
        ]
        assert lines[4].startswith("1 groups in ")
        assert lines[5] == "{'similar': 2}"
        assert Path("duplicates.json").exists()

    def test_two_pictures_are_compared(self, capsys: pytest.CaptureFixture[str]) -> None:
        first, second = run("two_pictures", capsys)
        assert first.startswith("similar upright")
        assert re.fullmatch(r"\(272,\) \d+", second)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_documentation_shows_the_example_as_it_is(example: Path) -> None:
    code = example.read_text(encoding="utf-8").partition('"""\n\n')[2]
    assert f"```python\n{code}```" in PAGE

"""Without any optional package the program starts, lists what it cannot read, and works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pictures import picture, write
from tests.support.raw_files import dng, write_dng

EXTRAS = ("rawpy", "pillow_jxl", "av")
HIDE = f"""
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
sys.modules.update(dict.fromkeys({EXTRAS!r}))
"""
"""Run by every Python process that has its folder in ``PYTHONPATH``."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which no extra can be imported, by the decoder processes either."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(HIDE)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PY_IMAGE_DEDUP_")}
    project = str(Path(__file__).resolve().parents[1])
    return {**own, "HOME": str(folder), "PYTHONPATH": os.pathsep.join((str(folder), project))}


def program(bare: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "py_image_dedup", *map(str, arguments)]
    return subprocess.run(command, env=bare, capture_output=True, text=True, check=False, cwd=bare["HOME"])


def test_a_run_lists_what_needs_an_extra_and_finds_the_copies(bare: dict[str, str], tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write(photos / "a.jpg", picture(1))
    write(photos / "b.jpg", picture(1))
    write_dng(photos / "a.dng", dng(picture(1)))
    (photos / "a.jxl").write_bytes(b"\xff\x0a\xfa")
    (photos / "film.mp4").write_bytes(b"x")
    report = tmp_path / "report.json"
    done = program(bare, "--state-directory", tmp_path / "state", "deduplicate", photos, "--report", report)
    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    assert found["totals"]["redundant"] == 1
    assert {each["kind"]: (each["reason"], len(each["paths"])) for each in found["unread"]} == {
        "RAW photo": ("install py-image-dedup[raw]", 1),
        "JPEG XL picture": ("install py-image-dedup[jxl]", 1),
        "video": ("install py-image-dedup[video]", 1),
    }
    line = next(line for line in done.stdout.splitlines() if line.startswith("Not read"))
    assert "1 RAW photo (install py-image-dedup[raw])" in line
    assert "1 video (install py-image-dedup[video])" in line
    assert found["failures"] == []


def test_a_file_of_the_configured_extensions_fails_with_what_to_install_and_is_read_once_it_is(
    bare: dict[str, str], tmp_path: Path
) -> None:
    write_dng(tmp_path / "photos" / "a.dng", dng(picture(1), preview=picture(1)))
    arguments = ("--state-directory", tmp_path / "state", "analyse", tmp_path / "photos", "--output", "json")
    extensions = {"PY_IMAGE_DEDUP_ANALYSIS_FILE_EXTENSIONS": ".dng"}
    first, again = (json.loads(program(bare | extensions, *arguments).stdout) for _ in range(2))
    for result in (first, again):
        assert [each["reason"] for each in result["failures"]] == ["needs-extra"]
        assert "install py-image-dedup[raw]" in result["failures"][0]["message"]
    sizes = [
        next(each["counts"]["bytes"] for each in result["phases"] if each["name"] == "analyse")
        for result in (first, again)
    ]
    assert sizes[0] > 0
    assert sizes[1] == 0
    pytest.importorskip("rawpy")
    installed = {**bare, **extensions, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    assert json.loads(program(installed, *arguments).stdout)["failures"] == []
